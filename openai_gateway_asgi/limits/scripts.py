"""What a Redis or Valkey server does for limits: one script per decision, on the server's own clock.

Accounts: a bucket is a hash of ``used`` and ``at``, a period a number, places a sorted set of leases by their end. All
keys expire once they say nothing any more. The words of a claim, in ARGV: account, capacity, amount, rate, ends, lease,
lease seconds. TAKE and LOOK answer with the time and, for each key, what is used and when the last lease ends. The key
behind those of the claims, where SETTLE has one, is the mark of a settlement, which is made once.
"""

WORDS = 7
"""Of each claim."""

_SHARED = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local WORDS = 7

local function claim(i)
  local at = (i - 1) * WORDS
  return {
    account = ARGV[at + 1], capacity = tonumber(ARGV[at + 2]), amount = tonumber(ARGV[at + 3]),
    rate = tonumber(ARGV[at + 4]), ends = tonumber(ARGV[at + 5]), lease = ARGV[at + 6], seconds = tonumber(ARGV[at + 7])
  }
end

local function used(key, c)
  if c.account == 'bucket' then
    local kept = redis.call('HMGET', key, 'used', 'at')
    if not kept[1] then return 0 end
    return math.max(0, tonumber(kept[1]) - c.rate * math.max(0, now - tonumber(kept[2])))
  elseif c.account == 'period' then
    return tonumber(redis.call('GET', key) or '0')
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end

local function put(key, c, amount)
  if c.account == 'bucket' then
    if amount <= 0 then
      redis.call('DEL', key)
    else
      redis.call('HSET', key, 'used', string.format('%.6f', amount), 'at', string.format('%.6f', now))
      redis.call('PEXPIRE', key, math.ceil(amount / c.rate * 1000) + 1000)
    end
  elseif c.ends > now then
    redis.call('SET', key, string.format('%.0f', math.max(0, amount)))
    redis.call('PEXPIREAT', key, math.ceil(c.ends * 1000) + 1000)
  end
end

local function lease(key, c)
  redis.call('ZADD', key, string.format('%.6f', now + c.seconds), c.lease)
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', key, math.ceil(tonumber(last[2]) * 1000) + 1000)
end

local function shown(key, c, amount)
  local last = 0
  if c.account == 'places' then
    local found = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    last = tonumber(found[2] or '0')
  end
  return { string.format('%.6f', amount), string.format('%.6f', last) }
end
"""

TAKE = (
    _SHARED
    + """
local granted, left, have = 1, {}, {}
for i, key in ipairs(KEYS) do
  local c = claim(i)
  if not left[key] then
    have[key] = used(key, c)
    left[key] = c.capacity - have[key]
  end
  left[key] = left[key] - math.min(c.amount, c.capacity)
  if left[key] < 0 then granted = 0 end
end
local answer = { granted, string.format('%.6f', now) }
for i, key in ipairs(KEYS) do
  local c = claim(i)
  if granted == 1 then
    if c.account == 'places' then
      lease(key, c)
      have[key] = redis.call('ZCARD', key)
    else
      have[key] = have[key] + math.min(c.amount, c.capacity)
      put(key, c, have[key])
    end
  end
end
for i, key in ipairs(KEYS) do
  answer[#answer + 1] = shown(key, claim(i), have[key])
end
return answer
"""
)

SETTLE = (
    _SHARED
    + """
local count = #ARGV / WORDS
for i = count + 1, #KEYS do
  if not redis.call('SET', KEYS[i], '1', 'NX', 'EX', 60) then return 0 end
end
for i = 1, count do
  local key, c = KEYS[i], claim(i)
  if c.account == 'places' then
    redis.call('ZREM', key, c.lease)
  else
    put(key, c, math.max(0, used(key, c) + c.amount))
  end
end
return 1
"""
)

RENEW = (
    _SHARED
    + """
for i, key in ipairs(KEYS) do
  lease(key, claim(i))
end
return 1
"""
)

LOOK = (
    _SHARED
    + """
local answer = { 1, string.format('%.6f', now) }
for i, key in ipairs(KEYS) do
  local c = claim(i)
  answer[#answer + 1] = shown(key, c, used(key, c))
end
return answer
"""
)
