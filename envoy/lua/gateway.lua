-- The gateway's own filter, on both listeners.
--
-- Requests: gives each a trace id, and refuses REST calls that the transcoder would accept
-- wrongly (fields that do not exist) or explain badly (other method, broken JSON).
-- Responses: gives every error the envelope, be it a service's, a filter's or Envoy's own.

local contract = require("contract")
local envelope = require("envelope")
local errors = require("errors")
local json = require("json")
local strict = require("strict")

-- local_reply_config in lds.yaml marks Envoy's own answers with this; nothing else sends it.
local LOCAL_REPLY = "application/vnd.codestudio.local-reply+json"
-- Envoy discards a 5xx answer of edge to ext_authz; edge says its status here instead.
local EDGE_STATUS = "x-codestudio-status"
local LOCAL_REPLY_START = '{"error":{'

local contracts = contract.load("./descriptors.binpb")

-- Header maps return nothing, not nil, for a header that is not there.
local function header(headers, name)
  local value = headers:get(name)
  return value
end

local function starts(text, prefix) return text ~= nil and text:sub(1, #prefix) == prefix end

-- The trace of a request: its traceparent's (W3C Trace Context), or one made from its id, so
-- that either leads to the other in every log.
local function trace_of(headers)
  local trace = (header(headers, "traceparent") or ""):match("^%x%x%-(%x+)%-%x+%-%x%x$")
  if trace and #trace == 32 then return trace, true end
  local id = (header(headers, "x-request-id") or ""):gsub("-", "")
  if #id == 32 and id:match("^%x+$") then return id:lower(), false end
  return "", false
end

local function refuse(handle, error, extra)
  local headers = extra or {}
  headers[":status"] = tostring(error.http)
  local violations = {}
  for _, one in ipairs(error.violations or {}) do
    violations[#violations + 1] =
      json.object({ { "field", one.field }, { "description", one.description } })
  end
  -- The response path below takes it apart again: every error is written in one place.
  handle:respond(headers, json.encode(json.object({
    { "code", error.code }, { "message", error.message }, { "violations", violations },
  })))
end

local function check_body(handle, rule)
  local buffer = handle:body()
  if not buffer or buffer:length() == 0 then return end
  local body, problem = json.decode(buffer:getBytes(0, buffer:length()))
  if problem then
    refuse(handle, errors.of("INVALID_JSON", "The body is not valid JSON: " .. problem))
    return
  end
  local violations = strict.violations(contracts, rule, body)
  if violations[1] then
    local names = {}
    for _, one in ipairs(violations) do names[#names + 1] = one.field end
    refuse(handle, errors.of(
      "INVALID_ARGUMENT", "Unknown fields: " .. table.concat(names, ", "), violations))
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local trace, given = trace_of(headers)
  if not given and trace ~= "" then
    headers:replace("traceparent", "00-" .. trace .. "-" .. trace:sub(17) .. "-01")
  end
  local path = header(headers, ":path")
  if not starts(path, "/api/") then return end
  path = path:match("^[^?]*")
  local rule, allowed = contract.find(contracts, header(headers, ":method"), path)
  if not rule then
    if allowed[1] then
      table.sort(allowed)
      local verbs = table.concat(allowed, ", ")
      refuse(handle, errors.of("METHOD_NOT_ALLOWED", "This address takes " .. verbs),
        { allow = verbs })
    end
    return
  end
  if rule.body ~= "" then check_body(handle, rule) end
end

-- Takes apart what local_reply_config wrote.
local function local_error(text)
  local reply = json.decode(text)
  if not json.is_object(reply) or not json.is_object(reply.error) then return nil end
  local said = reply.error
  local function text_of(value) return type(value) == "string" and value or nil end
  local details, message = text_of(said.details) or "", text_of(said.message) or ""
  local error
  if details == "lua_response" then
    local found = json.decode(message)
    error = errors.of(found.code, found.message, found.violations)
  else
    error = errors.explain(reply.status or 500, details, message, text_of(said.service))
    error.authorization = details == "ext_authz_denied" and message or nil
  end
  error.timestamp = text_of(said.timestamp)
  error.request_id = text_of(said.request_id)
  return error
end

local function service_of(request)
  local service = (header(request, ":path") or ""):match("^/codestudio%.(%w+)%.")
  return service and service .. "-service" or "gateway"
end

-- Makes an error of a google.rpc.Status in JSON, as the transcoder writes it.
local function service_error(status, request)
  if starts(status.message, LOCAL_REPLY_START) then return local_error(status.message) end
  for _, detail in ipairs(json.is_array(status.details) and status.details or {}) do
    if detail["@type"] == "type.googleapis.com/codestudio.common.v1.ErrorDetail" then
      return detail
    end
  end
  return errors.of_library(status.code, status.message, service_of(request))
end

local function complete(handle, error, request)
  error.trace_id = trace_of(request)
  error.request_id = error.request_id or header(request, "x-request-id")
  if not error.request_id then
    -- Refused for its path, before Envoy gave it an id.
    error.request_id = "gateway-" .. handle:timestampString(EnvoyTimestampResolution.MICROSECOND)
    handle:headers():replace("x-request-id", error.request_id)
  end
  if not error.timestamp then
    local milliseconds = tonumber(handle:timestampString())
    error.timestamp = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(milliseconds / 1000))
      .. string.format(".%03dZ", milliseconds % 1000)
  end
  return error
end

-- handle:body() waits, and what was fetched from the handle before is void after it: so headers
-- are always fetched anew behind it.
local function body_text(handle)
  local buffer = handle:body(true)
  local text = buffer:getBytes(0, buffer:length())
  return text, buffer, handle:headers(), handle:requestHeaders()
end

local function write(headers, buffer, text, kind)
  buffer:setBytes(text)
  headers:replace("content-type", kind)
  headers:replace("content-length", tostring(#text))
end

local function set_grpc_status(handle, headers, error)
  headers:replace("grpc-status", tostring(error.grpc))
  headers:replace("grpc-message", envelope.percent_encode(error.message))
  local packed = handle:base64Escape(envelope.status(error)):gsub("=+$", "")
  headers:replace("grpc-status-details-bin", packed)
end

local function answer_grpc(handle, headers, request)
  local status = tonumber(header(headers, "grpc-status")) or 0
  if status == 0 or header(headers, "grpc-status-details-bin") then return end
  local message = envelope.percent_decode(header(headers, "grpc-message") or "")
  -- A service's own errors have our detail; those of the gRPC library below it do not.
  local error = starts(message, LOCAL_REPLY_START) and local_error(message)
    or errors.of_library(status, message, service_of(request))
  set_grpc_status(handle, headers, complete(handle, error, request))
end

-- Tells whether the transcoder made a gRPC request of this one.
local function is_transcoded(request)
  return starts(header(request, "x-envoy-original-path"), "/api/")
end

local function wants_page(request)
  local path, accept = header(request, ":path") or "", header(request, "accept") or ""
  return not is_transcoded(request) and not starts(path, "/api/") and accept:find("text/html", 1, true) ~= nil
end

local function answer_local(handle)
  local text, buffer, headers, request = body_text(handle)
  if header(headers, ":status") < "400" then
    -- A redirect; who follows it reads no body.
    write(headers, buffer, "", "text/plain")
    return
  end
  local error = local_error(text)
  if not error then return end
  if error.authorization then
    -- edge's own refusal: already an envelope or a page.
    local status = header(headers, EDGE_STATUS)
    if status then
      headers:replace(":status", status)
      headers:remove(EDGE_STATUS)
    end
    local is_page = starts(error.authorization, "<")
    write(headers, buffer, error.authorization,
      is_page and "text/html; charset=utf-8" or "application/json")
    return
  end
  complete(handle, error, request)
  if not is_transcoded(request) and starts(header(request, "content-type"), "application/grpc") then
    -- gRPC-Web: Envoy answers it as plain HTTP.
    write(headers, buffer, "", "application/grpc")
    headers:replace(":status", "200")
    set_grpc_status(handle, headers, error)
    return
  end
  headers:replace(":status", tostring(error.http))
  if error.http == 503 then headers:replace("retry-after", "1") end
  if wants_page(request) then
    headers:replace("content-security-policy",
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
    write(headers, buffer, envelope.page(error), "text/html; charset=utf-8")
  else
    write(headers, buffer, envelope.json(error), "application/json")
  end
end

local function answer_transcoded(handle, headers, request)
  local status = tonumber(header(headers, ":status"))
  if status < 400 then
    local method = contracts.methods[header(request, ":path")]
    -- One JSON object a line, not a JSON document.
    if method and method.streams then headers:replace("content-type", "application/x-ndjson") end
    return
  end
  local text, buffer
  text, buffer, headers, request = body_text(handle)
  local said = json.decode(text)
  if not json.is_object(said) then return end
  local error = service_error(said, request)
  if error.http then headers:replace(":status", tostring(error.http)) end
  if (error.http or status) == 503 then headers:replace("retry-after", "1") end
  write(headers, buffer, envelope.json(complete(handle, error, request)),
    "application/json")
end

function envoy_on_response(handle)
  local headers, request = handle:headers(), handle:requestHeaders()
  local kind = header(headers, "content-type") or ""
  if starts(kind, "application/grpc") then
    answer_grpc(handle, headers, request)
  elseif starts(kind, LOCAL_REPLY) then
    answer_local(handle)
  elseif is_transcoded(request) then
    answer_transcoded(handle, headers, request)
  end
end
