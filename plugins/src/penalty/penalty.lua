-- What all gateways know of one key's failures. One key, so it runs on a cluster too.
-- KEYS[1]  the record: level, until, pardoned, failures
-- ARGV     'look', 'fail' or 'succeed'; count, window, from, to; times in us
-- Returns  { level, wait, us since the pardon or -1, us since each failure… }
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'l', 'u', 'p', 'f')
local level, till, pardoned = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(known[3] or 0)
local failures = {}
for at in string.gmatch(known[4] or '', '%d+') do
  if tonumber(at) + window > now then table.insert(failures, tonumber(at)) end
end
-- A milder rule, or a clock that was ahead, may have written more than this one could.
while #failures > count do table.remove(failures, 1) end
till = math.min(till, now + tonumber(ARGV[5]))
if level > 0 and now >= till + window then level = 0 end

if ARGV[1] == 'fail' and now >= till then
  if #failures >= count then table.remove(failures, 1) end
  table.insert(failures, now)
  if level > 0 or #failures >= count then
    till = now + math.min(tonumber(ARGV[4]) * 2 ^ math.min(level, 40), tonumber(ARGV[5]))
    level = level + 1
  end
elseif ARGV[1] == 'succeed' and now >= till and (pardoned == 0 or now >= pardoned + window) then
  level, till, pardoned, failures = 0, 0, now, {}
end

if ARGV[1] ~= 'look' then
  -- Lua writes large numbers with 14 digits only.
  local whole = function(number) return string.format('%.0f', number) end
  local written = {}
  for index, at in ipairs(failures) do written[index] = whole(at) end
  redis.call('HSET', KEYS[1], 'l', level, 'u', whole(till), 'p', whole(pardoned), 'f', table.concat(written, ' '))
  redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(0, till - now) + window) / 1000) + 1)
end
local answer = { level, math.max(0, math.ceil(till - now)), pardoned == 0 and -1 or now - pardoned }
for _, at in ipairs(failures) do table.insert(answer, now - at) end
return answer
