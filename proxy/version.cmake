# Writes OUTPUT, the header with the version and what git calls the commit that is being built.
# Run at each build; leaves the file alone when nothing changed, so nothing is compiled again.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --match "v[0-9]*"
    OUTPUT_VARIABLE build OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
if(failed OR NOT EXISTS ${SOURCE}/.git)
    set(build ${VERSION})
endif()
if(NOT "$ENV{SAGEGATE_BUILD}" STREQUAL "") # who builds without the repository may know it all the same
    set(build $ENV{SAGEGATE_BUILD})
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#pragma once
#define SAGEGATE_VERSION "@VERSION@"
#define SAGEGATE_BUILD "@build@"
]])
