-- Gives back what an instance holds; done again, it changes nothing.
-- KEYS limits usage reservations; ARGV instance. Returns whether it held anything.
local reservation = redis.call('HGET', KEYS[3], ARGV[1])
if not reservation then
  return 0
end
local usage = amounts(KEYS[2], {0, 0, 0, 0})
replace(KEYS[2], KEYS[3], ARGV[1], usage, parse(reservation), nil)
return 1
