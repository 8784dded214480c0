-- Finds fields in a JSON body that the contract does not have. The transcoder would drop them
-- silently, and a misspelt limit would look accepted.

local json = require("json")

local strict = {}

local MAX_VIOLATIONS = 20

local check_message

local function check_value(loaded, field, value, path, found)
  if value == json.null then return end
  if not field.is_message then
    -- Inside a map the transcoder makes nonsense of it, and the service cannot read the request.
    if json.is_object(value) then
      found[#found + 1] = { field = path, description = "must not be an object" }
    end
    return
  end
  local message = loaded.messages[field.type_name]
  -- Google's own types (Duration, Timestamp, Struct, …) have JSON forms that are not objects
  -- of their fields; the transcoder checks them.
  if not message or field.type_name:find("^google%.protobuf%.") then return end
  if message.is_map_entry then
    if not json.is_object(value) then return end
    for key, item in pairs(value) do
      check_value(loaded, message.fields.value, item, path .. "[" .. tostring(key) .. "]", found)
    end
  elseif json.is_array(value) then
    for index, item in ipairs(value) do
      check_value(loaded, field, item, path .. "[" .. (index - 1) .. "]", found)
    end
  elseif json.is_object(value) then
    check_message(loaded, message, value, path .. ".", found)
  end
end

function check_message(loaded, message, object, prefix, found)
  local names = {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if #found >= MAX_VIOLATIONS then return end
    local field = message.fields[name]
    if field then
      check_value(loaded, field, object[name], prefix .. field.name, found)
    else
      found[#found + 1] = {
        field = prefix .. name,
        description = "there is no such field; there are " .. table.concat(message.names, ", "),
      }
    end
  end
end

-- Lists the unknown fields of the body of a request by `rule` as {field, description}.
function strict.violations(loaded, rule, body)
  local found, message = {}, loaded.messages[rule.method.input]
  if rule.body == "*" then
    if json.is_object(body) then check_message(loaded, message, body, "", found) end
  else
    local field = message.fields[rule.body]
    check_value(loaded, field, body, field.name, found)
  end
  return found
end

return strict
