-- Makes a reservation what its instance's record says, whatever the limits: real instances are
-- facts. Done only if the reservation is still the one that was looked at, and, where less is to
-- be held, only if it was last reserved long enough ago.
-- KEYS limits usage reservations; ARGV instance, the reservation looked at ('' for none), least
-- age in milliseconds, then 4 amounts, or nothing to remove it. Returns 'done', or why
-- not: 'changed' or 'recent'.
local reservation = redis.call('HGET', KEYS[3], ARGV[1])
if (reservation or '') ~= ARGV[2] then
  return 'changed'
end
local held = parse(reservation)
local asked = ARGV[4] and numbers(4) or nil
for i = 1, 4 do
  if held[i] > (asked and asked[i] or 0) and milliseconds() - held[6] < tonumber(ARGV[3]) then
    return 'recent'
  end
end
replace(KEYS[2], KEYS[3], ARGV[1], amounts(KEYS[2], {0, 0, 0, 0}), held, asked)
return 'done'
