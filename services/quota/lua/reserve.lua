-- Reserves for an instance, all or nothing, in place of what it holds.
-- KEYS limits usage reservations; ARGV 4 default limits, instance, 4 amounts.
-- Returns {'reserved', reservation, whether the namespace held nothing before ('1' or '0')} or
-- {'refused', shortage, …}, five items a shortage.
local limits = amounts(KEYS[1], numbers(1))
local usage = amounts(KEYS[2], {0, 0, 0, 0})
local held = parse(redis.call('HGET', KEYS[3], ARGV[5]))
local asked = numbers(6)
local found = shortages(limits, usage, held, asked)
if #found > 0 then
  table.insert(found, 1, 'refused')
  return found
end
local first = redis.call('EXISTS', KEYS[3]) == 0 and '1' or '0'
return {'reserved', replace(KEYS[2], KEYS[3], ARGV[5], usage, held, asked), first}
