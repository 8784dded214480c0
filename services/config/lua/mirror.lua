-- Puts the settings of a service in the place of those that are there: all of them or none.
--
-- KEYS[1]  config:{service}
-- ARGV[1]  revision to write
-- ARGV[2]  revision that may be there though it is newer, since the record has lost it; "" for none
-- ARGV[3…] fields and values
--
-- Gives 1 where it wrote, 0 where something newer is there. What is no hash is no copy.
local kind = redis.call('TYPE', KEYS[1]).ok
local present = kind == 'hash' and redis.call('HGET', KEYS[1], '@revision')
if present and tonumber(present) > tonumber(ARGV[1]) and present ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
