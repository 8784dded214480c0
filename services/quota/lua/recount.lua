-- Makes usage the sum of the reservations, or only tells what it would make it.
-- KEYS limits usage reservations; ARGV '1' to write it. Returns {} where it was the sum, else the 4
-- amounts it said and the 4 it has to say.
local sum = {0, 0, 0, 0}
local reservations = redis.call('HVALS', KEYS[3])
for _, reservation in ipairs(reservations) do
  local held = parse(reservation)
  for i = 1, 4 do
    sum[i] = sum[i] + held[i]
  end
end
local usage = amounts(KEYS[2], {0, 0, 0, 0})
local told = {}
local same = true
for i = 1, 4 do
  told[i], told[4 + i] = text(usage[i]), text(sum[i])
  same = same and usage[i] == sum[i]
end
if same then
  return {}
end
if ARGV[1] ~= '1' then
  return told
end
if #reservations == 0 then
  redis.call('DEL', KEYS[2])
else
  for i = 1, 4 do
    redis.call('HSET', KEYS[2], RESOURCES[i], text(sum[i]))
  end
end
return told
