-- Takes calls from a limit that all gateways share. One key, so it runs on a cluster too.
-- KEYS[1]  what the key has used up
-- ARGV     'window', count, window in us, 1      at most `count` in any window
--          'bucket', burst, interval in us, want  one back each interval (GCRA)
-- Returns  { granted, left, wait in us }: until one passes again, or until calls come back
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, us, want = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[1] == 'window' then
  local oldest = redis.call('LINDEX', KEYS[1], 0)
  while oldest and oldest + us <= now do
    redis.call('LPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], 0)
  end
  local used = redis.call('LLEN', KEYS[1])
  if used >= most then
    return { 0, 0, math.ceil(oldest + us - now) }
  end
  -- Lua writes large numbers with 14 digits only.
  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], math.ceil(us / 1000) + 1)
  return { 1, most - used - 1, math.ceil((oldest or now) + us - now) }
end

local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local left = math.floor((most * us - (full_at - now)) / us)
local got = math.max(0, math.min(want, left))
if got == 0 then
  return { 0, 0, math.ceil(full_at + us - most * us - now) }
end
full_at = full_at + got * us
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return { got, left - got, math.ceil(full_at - now) }
