-- Replaces an allocation by another of the same range, if it still is what was read.
--
-- KEYS[1]  index: hash of first port -> JSON of the allocation
-- ARGV[1]  first port
-- ARGV[2]  the allocation that was read
-- ARGV[3]  what it is to be; empty to take the range back
--
-- Returns 1 if it was replaced.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
