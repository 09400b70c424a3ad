-- wrk's part of a measurement: one POST of BENCH_BODY bytes again and again, the result as one line of JSON.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.rep("x", tonumber(os.getenv("BENCH_BODY")))

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format('RESULT {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
