-- Replaces an allocation by another of the same range, if it still is what was read.
--
-- KEYS[1]  index: hash of first port -> JSON of the allocation
-- ARGV[1]  first port
-- ARGV[2]  the allocation that was read, ARGV[3] what it is to be
--
-- Returns 1 if it was replaced.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
