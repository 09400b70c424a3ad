-- wrk's part of a measurement: repeats a POST of BENCH_BODY bytes and prints the result as one line of JSON.
-- BENCH_CLOSE_EVERY=N: a connection is closed after about N requests. BENCH_PAUSE=MS: a connection waits between two
-- requests for an exponentially distributed time with that mean, like many independent clients.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.rep("x", tonumber(os.getenv("BENCH_BODY")))

local close_every = tonumber(os.getenv("BENCH_CLOSE_EVERY"))
local pause = tonumber(os.getenv("BENCH_PAUSE"))

if close_every then
   function init()
      local keep = wrk.format()
      local close = wrk.format(nil, nil, {["Connection"] = "close", ["Content-Type"] = "application/json"})
      request = function() return math.random(close_every) == 1 and close or keep end
   end
end
if pause then
   function delay() return math.floor(-pause * math.log(1 - math.random()) + 0.5) end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format('RESULT {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
