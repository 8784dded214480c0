-- The contracts, read from the descriptor set the transcoder uses: which REST route is which
-- method, and which fields its body may have.

local wire = require("wire")

local contract = {}

local HTTP_RULE = 72295728 -- google.api.http, an extension of MethodOptions
local TYPE_MESSAGE = 11
local VERBS = { [2] = "GET", [3] = "PUT", [4] = "POST", [5] = "DELETE", [6] = "PATCH" }

local function read_field(data)
  local field = {}
  for number, value in wire.fields(data) do
    if number == 1 then field.name = value
    elseif number == 5 then field.is_message = value == TYPE_MESSAGE
    elseif number == 6 then field.type_name = value:sub(2)
    elseif number == 10 then field.json_name = value
    end
  end
  return field
end

local function read_message(data, scope, messages)
  local fields, message, name = {}, { fields = {}, names = {} }, nil
  for number, value in wire.fields(data) do
    if number == 1 then name = scope .. value end
  end
  for number, value in wire.fields(data) do
    if number == 2 then fields[#fields + 1] = read_field(value)
    elseif number == 3 then read_message(value, name .. ".", messages)
    elseif number == 7 then
      for option, flag in wire.fields(value) do
        if option == 7 then message.is_map_entry = flag == 1 end
      end
    end
  end
  for _, field in ipairs(fields) do
    message.fields[field.name] = field
    if field.json_name then message.fields[field.json_name] = field end
    message.names[#message.names + 1] = field.name
  end
  messages[name] = message
end

-- Turns a template such as /api/quota/{quota.namespace}:check into a Lua pattern, and lists
-- its variables in order.
local function compile(template)
  local variables = {}
  local verb = template:match(":[%w_]+$") or ""
  local path = template:sub(1, #template - #verb)
  local pattern = path:gsub("[%-%.%+%%%?%[%]%^%$%(%)]", "%%%0")
  pattern = pattern:gsub("{([^}]+)}", function(variable)
    variable = variable:gsub("%%", "")
    local name, wildcard = variable:match("^([^=]+)=(.+)$")
    variables[#variables + 1] = name or variable
    if wildcard == "**" then return "(.+)" end
    return verb == "" and "([^/]+)" or "([^/:]+)"
  end)
  return "^" .. pattern .. verb .. "$", variables
end

local function add_rules(data, method, rules)
  local rule = { method = method, body = "" }
  for number, value in wire.fields(data) do
    if VERBS[number] then
      rule.verb = VERBS[number]
      rule.pattern, rule.variables = compile(value)
    elseif number == 7 then rule.body = value
    elseif number == 11 then add_rules(value, method, rules)
    end
  end
  rules[#rules + 1] = rule
end

local function read_service(data, package, loaded)
  local name
  for number, value in wire.fields(data) do
    if number == 1 then name = package .. "." .. value end
  end
  for number, value in wire.fields(data) do
    if number == 2 then
      local method, rule = {}, nil
      for part, content in wire.fields(value) do
        if part == 1 then method.path = "/" .. name .. "/" .. content
        elseif part == 2 then method.input = content:sub(2)
        elseif part == 6 then method.streams = content == 1
        elseif part == 4 then
          for option, setting in wire.fields(content) do
            if option == HTTP_RULE then rule = setting end
          end
        end
      end
      loaded.methods[method.path] = method
      if rule then add_rules(rule, method, loaded.rules) end
    end
  end
end

-- Reads a FileDescriptorSet from a file.
function contract.load(filename)
  local file = assert(io.open(filename, "rb"))
  local data = file:read("*a")
  file:close()
  local loaded = { messages = {}, methods = {}, rules = {} }
  for number, descriptor in wire.fields(data) do
    if number == 1 then
      local package = ""
      for part, value in wire.fields(descriptor) do
        if part == 2 then package = value end
      end
      for part, value in wire.fields(descriptor) do
        if part == 4 then read_message(value, package .. ".", loaded.messages)
        elseif part == 6 then read_service(value, package, loaded)
        end
      end
    end
  end
  return loaded
end

-- Finds the rule for a verb and a path without its query. Where the path is known but not with
-- that verb, returns nil and the verbs that are.
function contract.find(loaded, verb, path)
  local allowed = {}
  -- The transcoder does not mind a slash at the end; what it accepts has to be checked.
  path = path:match("^(.+)/$") or path
  for _, rule in ipairs(loaded.rules) do
    local values = { path:match(rule.pattern) }
    if values[1] then
      if rule.verb == verb then return rule, rule.variables, values end
      allowed[#allowed + 1] = rule.verb
    end
  end
  return nil, allowed
end

return contract
