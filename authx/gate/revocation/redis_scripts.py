"""Lua scripts, each one atomic step. KEYS[1] is the one hash that holds everything, so it is lost as a whole.

Its fields:

    <name>       the value of its entry, as in ``core.revocation_log``: the reason of a session's ending ...
    #<n>         "<seconds> <value> <name>", the same in the order it arrived
    first, last  the numbers of the oldest and the newest of these
    epoch        random, made with the hash: numbers of another epoch mean nothing
    upto         how far the log in the database has been read
    lock         "<milliseconds> <owner>": who is reading the log, and until when
    lease        "<milliseconds> <owner>": the endings are complete until then, as that owner has read them
    fields       how many other fields there are; if the number differs, something has been removed

Times are Redis's own, except the seconds of a line: those are the later of Redis's and the writer's, so that
neither clock alone can make a line look older than it is.
"""

from typing import Final

#: Every change of the fields goes through ``put`` or ``drop``, which keep the count.
_COUNTED: Final = """
local function put(key, ...)
  redis.call('HINCRBY', key, 'fields', redis.call('HSET', key, ...))
end
local function drop(key, ...)
  redis.call('HINCRBY', key, 'fields', -redis.call('HDEL', key, ...))
end
"""

#: A lease has two ends, its own and the hash's expiry. An end further away than a lease lasts does not count:
#: a clock was put back, or somebody moved it.
_LEASED: Final = """
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function is_whole(key, fields)
  return redis.call('HLEN', key) == (tonumber(fields or '') or -2) + 1
end
local function lease_left(key, lease, fields, length)
  local ends = tonumber(string.match(lease or '', '^%d+') or '')
  if not ends or not is_whole(key, fields) then return nil end
  local left, expires = ends - milliseconds(), redis.call('PTTL', key)
  if left <= 0 or left > length or expires <= 0 or expires > length then return nil end
  return math.min(left, expires)
end
"""

#: ARGV[from - 1] is the writer's time in seconds. An entry that is there stays, except a mark, which is
#: replaced by a later one.
_APPEND: Final = (
    _COUNTED
    + """
local function append(key, from)
  local at = math.max(redis.call('TIME')[1], ARGV[from - 1])
  local last = tonumber(redis.call('HGET', key, 'last') or '0')
  for i = from, #ARGV, 2 do
    local name, value = ARGV[i], ARGV[i + 1]
    local before = redis.call('HGET', key, name)
    local number = tonumber(string.match(value, '^(%d+):') or '')
    if not before or (number and number > (tonumber(string.match(before, '^(%d+):') or '') or -1)) then
      last = last + 1
      put(key, 'last', last, name, value, '#' .. last, at .. ' ' .. value .. ' ' .. name)
    end
  end
end
"""
)

#: ARGV: milliseconds of a lease, name, name ... Answers {lease, fields, value, value ...}, or {}.
READ: Final = (
    _LEASED
    + """
local found = redis.call('HMGET', KEYS[1], 'lease', 'fields', unpack(ARGV, 2))
if not lease_left(KEYS[1], found[1], found[2], tonumber(ARGV[1])) then return {} end
return found
"""
)

#: ARGV: seconds, name, value, name, value ... Adds them if the hash exists; without it there are no readers.
PUBLISH: Final = (
    _APPEND
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
append(KEYS[1], 2)
return 1
"""
)

#: ARGV: owner, milliseconds of the lock, milliseconds a hash without lease may live, milliseconds of a lease,
#: milliseconds of one that is long enough. Answers {now in milliseconds, upto}, or {} where there is nothing
#: to do. A hash that is not as it was written is made again, and the log read from the beginning.
#: From here on endings are published into the hash, so a worker that reads the log now misses none.
BEGIN: Final = (
    _COUNTED
    + _LEASED
    + """
local key, now = KEYS[1], milliseconds()
if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
local lease, fields, lock = unpack(redis.call('HMGET', key, 'lease', 'fields', 'lock'))
local locked = tonumber(string.match(lock or '', '^%d+') or '')
if locked and locked > now and locked <= now + ARGV[2] then return {} end
local left = lease_left(key, lease, fields, tonumber(ARGV[4]))
if left and left > tonumber(ARGV[5]) then return {} end
if not is_whole(key, fields) then
  redis.call('DEL', key)
  put(key, 'epoch', ARGV[1], 'first', 1, 'last', 0, 'upto', '')
end
put(key, 'lock', string.format('%.0f', now + ARGV[2]) .. ' ' .. ARGV[1])
local expires = redis.call('PTTL', key)
if expires < 0 or expires > tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
return {string.format('%.0f', now), redis.call('HGET', key, 'upto') or ''}
"""
)

#: ARGV: owner, seconds, name, value ... as PUBLISH, but only for the owner of the lock. Answers 1 if added.
ADD: Final = (
    _APPEND
    + """
local lock = redis.call('HGET', KEYS[1], 'lock')
if not lock or string.match(lock, ' (.*)$') ~= ARGV[1] then return 0 end
append(KEYS[1], 3)
return 1
"""
)

#: ARGV: owner, upto, when the lease ends (milliseconds), the oldest second that matters. Answers 1 if the
#: lease was given: not if the hash has vanished meanwhile or lost a field, or another worker reads the log.
FINISH: Final = (
    _COUNTED
    + _LEASED
    + """
local key = KEYS[1]
local lock, fields, first = unpack(redis.call('HMGET', key, 'lock', 'fields', 'first'))
if not lock or string.match(lock, ' (.*)$') ~= ARGV[1] then return 0 end
if not is_whole(key, fields) then
  redis.call('DEL', key)
  return 0
end
drop(key, 'lock')
first = tonumber(first)
for _ = 1, 2000 do
  local entry = redis.call('HGET', key, '#' .. first)
  if not entry then break end
  local at, value, name = string.match(entry, '^(%d+) (%S*) (.*)$')
  if not at or tonumber(at) >= tonumber(ARGV[4]) then break end
  drop(key, '#' .. first)
  if redis.call('HGET', key, name) == value then drop(key, name) end
  first = first + 1
end
put(key, 'upto', ARGV[2], 'lease', ARGV[3] .. ' ' .. ARGV[1], 'first', first)
redis.call('PEXPIREAT', key, ARGV[3])
return 1
"""
)

#: ARGV: milliseconds of a lease, epoch, the last number known, the line that was there, how many at most.
#: Answers {lease, epoch, 1 if from the beginning, number reached, last number, lines ...}; {} without a
#: lease, or where there cannot be so many lines. It begins again where the epoch or the line differs: a Redis
#: restored from an older snapshot assigns its numbers again.
SINCE: Final = (
    _LEASED
    + """
local key = KEYS[1]
local lease, fields, epoch, last, from =
  unpack(redis.call('HMGET', key, 'lease', 'fields', 'epoch', 'last', 'first'))
if not lease_left(key, lease, fields, tonumber(ARGV[1])) then return {} end
last, from = tonumber(last), tonumber(from)
if last - from >= redis.call('HLEN', key) then return {} end
local known, whole = tonumber(ARGV[3]), 1
if epoch == ARGV[2] and (redis.call('HGET', key, '#' .. known) or '') == ARGV[4] then
  from, whole = math.max(from, known + 1), 0
end
local to = math.min(last, from + ARGV[5] - 1)
local found = {lease, epoch, whole, math.max(to, from - 1), last}
for n = from, to do found[#found + 1] = redis.call('HGET', key, '#' .. n) or '' end
return found
"""
)
