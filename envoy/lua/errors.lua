-- What a caller is told of an error that Envoy itself answers: stable code, message, statuses.
--
-- Envoy gives its reason in the "response code details", such as
-- jwt_authn_access_denied{Jwt_is_missing}; its messages are for operators.

local errors = {}

-- HTTP and gRPC status by code (google.rpc.Code); both kinds of caller get the same meaning.
local STATUSES = {
  BAD_REQUEST = { 400, 3 },
  INVALID_ARGUMENT = { 400, 3 },
  INVALID_JSON = { 400, 3 },
  TOKEN_MISSING = { 401, 16 },
  TOKEN_EXPIRED = { 401, 16 },
  TOKEN_INVALID = { 401, 16 },
  PERMISSION_DENIED = { 403, 7 },
  ROUTE_NOT_FOUND = { 404, 12 },
  METHOD_NOT_ALLOWED = { 405, 12 },
  REQUEST_TIMEOUT = { 408, 4 },
  REQUEST_TOO_LARGE = { 413, 8 },
  HEADERS_TOO_LARGE = { 431, 8 },
  INTERNAL_ERROR = { 500, 13 },
  SERVICE_UNAVAILABLE = { 503, 14 },
  EDITOR_UNAVAILABLE = { 503, 14 },
  OVERLOADED = { 503, 14 },
  DEADLINE_EXCEEDED = { 504, 4 },
}

local BY_HTTP = {
  [400] = "BAD_REQUEST", [401] = "TOKEN_INVALID", [403] = "PERMISSION_DENIED",
  [404] = "ROUTE_NOT_FOUND", [405] = "METHOD_NOT_ALLOWED", [408] = "REQUEST_TIMEOUT",
  [413] = "REQUEST_TOO_LARGE", [426] = "BAD_REQUEST", [431] = "HEADERS_TOO_LARGE",
  [502] = "SERVICE_UNAVAILABLE", [503] = "SERVICE_UNAVAILABLE", [504] = "DEADLINE_EXCEEDED",
}

local MESSAGES = {
  BAD_REQUEST = "The request is not valid HTTP for this address",
  TOKEN_MISSING = "A token is needed: send the header \"Authorization: Bearer <token>\"; "
    .. "`codestudio token` prints one",
  TOKEN_EXPIRED = "The token has expired; get a new one with `codestudio token`",
  TOKEN_INVALID = "The token is not one of ours, or was changed",
  PERMISSION_DENIED = "This is not allowed",
  ROUTE_NOT_FOUND = "There is nothing at this address",
  METHOD_NOT_ALLOWED = "This address does not take this method",
  REQUEST_TIMEOUT = "The request did not arrive in time",
  REQUEST_TOO_LARGE = "The request is larger than the 4 MiB allowed",
  HEADERS_TOO_LARGE = "The request's headers are too large",
  INTERNAL_ERROR = "Something went wrong in the gateway; its log has it under this request id",
  OVERLOADED = "The gateway has too much to do; try again shortly",
}

-- The codes of gRPC's own statuses, by number.
local GRPC_NAMES = {
  [1] = "CANCELLED", [2] = "INTERNAL_ERROR", [3] = "INVALID_ARGUMENT", [4] = "DEADLINE_EXCEEDED",
  [5] = "NOT_FOUND", [6] = "ALREADY_EXISTS", [7] = "PERMISSION_DENIED",
  [8] = "RESOURCE_EXHAUSTED", [9] = "FAILED_PRECONDITION", [10] = "ABORTED",
  [11] = "OUT_OF_RANGE", [12] = "UNIMPLEMENTED", [13] = "INTERNAL_ERROR",
  [14] = "SERVICE_UNAVAILABLE", [15] = "INTERNAL_ERROR", [16] = "TOKEN_INVALID",
}

local function code_of_token(details)
  if details:find("{Jwt_is_missing}", 1, true) then return "TOKEN_MISSING" end
  if details:find("{Jwt_is_expired}", 1, true) then return "TOKEN_EXPIRED" end
  return "TOKEN_INVALID"
end

local function unavailable(service, details)
  if details:find("{overflow", 1, true) then
    return "OVERLOADED", service .. " has too much to do; try again shortly"
  end
  if service == "editors" then
    return "EDITOR_UNAVAILABLE", "The editor does not answer right now; it may be restarting"
  end
  if details:find("connection_termination", 1, true) or details:find("remote_reset", 1, true) then
    return "SERVICE_UNAVAILABLE", service .. " went away while it had this request; "
      .. "whether it was carried out is not known"
  end
  return "SERVICE_UNAVAILABLE", service .. " cannot be reached right now; try again shortly"
end

local function transcoding(message)
  local field = message:match('^Could not find field "([^"]*)" in the type')
  if field then
    return "INVALID_ARGUMENT", "There is no query parameter \"" .. field .. "\" here", {
      { field = field, description = "there is no such parameter" },
    }
  end
  -- What follows the first line draws an arrow under the offending text.
  local text = message:match("^[^\n]*"):gsub("type%.googleapis%.com/", "")
  field = text:match("^([%w_%.%[%]]+): ") or text:match('for field "?([%w_%.%[%]]+)')
  return "INVALID_ARGUMENT", "The request does not fit the contract: " .. text,
    field and { { field = field, description = text:gsub("^[%w_%.%[%]]+: ", "") } } or nil
end

local function told(code, message, service, violations)
  return {
    code = code,
    message = message or MESSAGES[code],
    violations = violations,
    service = service or "gateway",
    http = STATUSES[code][1],
    grpc = STATUSES[code][2],
  }
end

-- Tells what happened, as {code, message, violations, service, http, grpc}, from Envoy's HTTP
-- status, response code details, message, and the cluster the request was on its way to.
function errors.explain(http, details, message, cluster)
  -- A service may have several clusters, one a port: collaboration-service, collaboration-live.
  cluster = cluster and cluster:gsub("%-%a+$", "-service")
  if details:find("^jwt_authn_access_denied") then return told(code_of_token(details)) end
  if details:find("^ext_authz_error") then
    local code, text = unavailable("edge-service", details)
    return told(code, text, "edge-service")
  end
  if details:find("grpc_json_transcode_failure", 1, true) then
    if http == 404 then return told("ROUTE_NOT_FOUND") end
    local code, text, violations = transcoding(message)
    return told(code, text, nil, violations)
  end
  if details:find("^overload") then return told("OVERLOADED") end
  if http == 503 and cluster then
    local code, text = unavailable(cluster, details)
    return told(code, text, cluster)
  end
  local code = BY_HTTP[http] or "INTERNAL_ERROR"
  if code == "DEADLINE_EXCEEDED" or code == "SERVICE_UNAVAILABLE" then
    return told(code, (cluster or "The service") .. " did not answer in time", cluster)
  end
  return told(code)
end

-- The same for an error of a gRPC library, which knows nothing of our details, by its number.
function errors.of_library(status, message, service)
  message = message or ""
  if message:find("message larger than max", 1, true) then
    return { code = "REQUEST_TOO_LARGE", message = MESSAGES.REQUEST_TOO_LARGE,
      service = service, http = STATUSES.REQUEST_TOO_LARGE[1], grpc = status }
  end
  local code = GRPC_NAMES[status] or "INTERNAL_ERROR"
  if code == "INTERNAL_ERROR" then message = MESSAGES.INTERNAL_ERROR end
  return { code = code, message = message, service = service, grpc = status }
end

-- The same for an error found by a filter of ours.
function errors.of(code, message, violations)
  return told(code, message, nil, violations)
end

return errors
