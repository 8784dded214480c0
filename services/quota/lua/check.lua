-- Tells what would be in the way of a reservation; writes nothing.
-- KEYS and ARGV as in reserve.lua. Returns {shortage, …}, five items a shortage.
local limits = amounts(KEYS[1], numbers(1))
local usage = amounts(KEYS[2], {0, 0, 0, 0})
local held = parse(redis.call('HGET', KEYS[3], ARGV[5]))
return shortages(limits, usage, held, numbers(6))
