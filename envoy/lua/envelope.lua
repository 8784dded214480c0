-- The error envelope in its forms: JSON for REST, a status detail for gRPC, a page for browsers.
--
-- {"success": false, "error": {code, message, details, timestamp, request_id, service,
-- instance_id, metadata?, violations?}, "trace_id": …}, as codestudio.common.v1.ErrorResponse.

local json = require("json")
local wire = require("wire")

local envelope = {}

local DETAIL_TYPE = "type.googleapis.com/codestudio.common.v1.ErrorDetail"

local function violations_json(violations)
  local list = {}
  for _, one in ipairs(violations) do
    list[#list + 1] = json.object({ { "field", one.field }, { "description", one.description } })
  end
  return list
end

local function metadata_json(metadata)
  local names, list = {}, {}
  for name in pairs(metadata) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = { name, tostring(metadata[name]) } end
  return json.object(list)
end

-- Writes the envelope of an error with the fields named above.
function envelope.json(error)
  local fields = {}
  for _, name in ipairs({
    "code", "message", "details", "timestamp", "request_id", "service", "instance_id",
  }) do
    fields[#fields + 1] = { name, error[name] or "" }
  end
  if error.metadata and next(error.metadata) then
    fields[#fields + 1] = { "metadata", metadata_json(error.metadata) }
  end
  if error.violations and error.violations[1] then
    fields[#fields + 1] = { "violations", violations_json(error.violations) }
  end
  return json.encode(json.object({
    { "success", false },
    { "error", json.object(fields) },
    { "trace_id", error.trace_id or "" },
  })) .. "\n"
end

-- Packs the error into google.rpc.Status, which gRPC carries in grpc-status-details-bin.
function envelope.status(error)
  local detail = wire.field(1, error.code) .. wire.field(2, error.message)
    .. wire.field(4, error.timestamp) .. wire.field(5, error.request_id)
    .. wire.field(6, error.service)
  for _, one in ipairs(error.violations or {}) do
    detail = detail .. wire.field(9, wire.field(1, one.field) .. wire.field(2, one.description))
  end
  local any = wire.field(1, DETAIL_TYPE) .. wire.field(2, detail)
  return wire.field(1, error.grpc) .. wire.field(2, error.message) .. wire.field(3, any)
end

-- Encodes a message for the header grpc-message (gRPC over HTTP/2, "Percent-Encoded").
function envelope.percent_encode(text)
  return (text:gsub("[^ -$&-~]", function(byte) return string.format("%%%02X", byte:byte()) end))
end

function envelope.percent_decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local PAGE = [[<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
%s<title>%s</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 20vh auto 0; max-width: 32rem; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; }
small { opacity: .65; }
</style></head>
<body><h1>%s</h1><p>%s</p><p><a href="/">All instances</a></p>
<small>%s · request %s</small></body></html>
]]

local function escape(text)
  return (text:gsub("[&<>\"']", function(found) return "&#" .. found:byte() .. ";" end))
end

-- Writes a page for people; one that may help itself is loaded again every three seconds.
function envelope.page(error)
  local again = error.http >= 503
  local title = again and "One moment" or "That did not work"
  if error.http == 404 then title = "Nothing here" end
  return PAGE:format(
    again and '<meta http-equiv="refresh" content="3">\n' or "",
    title, title, escape(error.message), error.code, escape(error.request_id))
end

return envelope
