-- Takes calls from a limit that all gateways share. One key, so it runs on a cluster too.
-- KEYS[1]  what the key has used up
-- ARGV     'window', count, window in us, 1, 0, 0          at most `count` in any window
--          'bucket', burst, interval in us, want, owed, 0  one back each interval (GCRA)
--          'calendar', count, length in us, want, owed, offset in us
--                                                          `count` from one full hour, day … on
--          `owed` calls were made on credit: they are taken whatever is left
-- Returns  { granted, left, wait in us }: until one passes when none is left, or until calls come back
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, us, want, owed = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

if ARGV[1] == 'window' then
  local oldest = redis.call('LINDEX', KEYS[1], 0)
  while oldest and oldest + us <= now do
    redis.call('LPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], 0)
  end
  local used = redis.call('LLEN', KEYS[1])
  if used >= most then
    -- A clock that was ahead may have written what is still to come.
    return { 0, 0, math.ceil(math.min(oldest + us - now, us)) }
  end
  -- Lua writes large numbers with 14 digits only.
  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], math.ceil(us / 1000) + 1)
  return { 1, most - used - 1, math.ceil(math.min((oldest or now) + us - now, us)) }
end

if ARGV[1] == 'calendar' then
  local ends = us - (now - tonumber(ARGV[6])) % us
  local used = tonumber(redis.call('GET', KEYS[1]) or 0) + owed
  local got = math.max(0, math.min(want, most - used))
  used = used + got
  if got + owed > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', used), 'PX', math.ceil(ends / 1000))
  end
  return { got, math.max(0, most - used), math.ceil(ends) }
end

local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
-- A debt is paid by waiting, and nobody waits for more than two buckets.
full_at = math.min(full_at + owed * us, now + 2 * most * us)
local left = math.floor((most * us - (full_at - now)) / us)
local got = math.max(0, math.min(want, left))
full_at = full_at + got * us
if got + owed > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
end
left = math.max(0, left - got)
if left == 0 then
  return { got, 0, math.max(1, math.ceil(full_at + us - most * us - now)) }
end
return { got, left, math.ceil(full_at - now) }
