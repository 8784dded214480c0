-- Makes usage the sum of the reservations.
-- KEYS limits usage reservations. Returns {} where it was, else the 4 amounts it said before.
local sum = {0, 0, 0, 0}
local reservations = redis.call('HVALS', KEYS[3])
for _, reservation in ipairs(reservations) do
  local held = parse(reservation)
  for i = 1, 4 do
    sum[i] = sum[i] + held[i]
  end
end
local usage = amounts(KEYS[2], {0, 0, 0, 0})
local before = {}
local same = true
for i = 1, 4 do
  before[i] = text(usage[i])
  same = same and usage[i] == sum[i]
end
if same then
  return {}
end
if #reservations == 0 then
  redis.call('DEL', KEYS[2])
else
  for i = 1, 4 do
    redis.call('HSET', KEYS[2], RESOURCES[i], text(sum[i]))
  end
end
return before
