"""What Redis does in one step. KEYS[1] is the one hash that holds everything, so that all vanishes together.

Its fields:

    <name>       what is told under it, as ``core.log_entries`` has it: the reason of a session's ending ...
    #<n>         "<seconds> <what> <name>", the same in the order it arrived
    first, last  the numbers of the oldest and the newest of these
    epoch        drawn when the hash was made: numbers of another epoch mean nothing
    upto         how far the log in the database has been read
    lock         "<milliseconds> <owner>": who is reading the log, and until when
    lease        there while the endings are complete; the hash expires with it

Times are Redis's own.
"""

from typing import Final

#: What is there stands, but for a mark, which gives way to a later one.
_APPEND: Final = """
local function append(key, pairs_from)
  local now = redis.call('TIME')[1]
  for i = pairs_from, #ARGV, 2 do
    local name, told = ARGV[i], ARGV[i + 1]
    local before = redis.call('HGET', key, name)
    local number = tonumber(string.match(told, '^(%d+):'))
    if not before or (number and number > tonumber(string.match(before, '^(%d+):'))) then
      local n = redis.call('HINCRBY', key, 'last', 1)
      redis.call('HSET', key, name, told, '#' .. n, now .. ' ' .. told .. ' ' .. name)
    end
  end
end
"""

#: ARGV: name, told, name, told ... Adds them if there is a hash to add them to; without one nobody looks.
PUBLISH: Final = (
    _APPEND
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
append(KEYS[1], 1)
return 1
"""
)

#: ARGV: owner, milliseconds of the lock, milliseconds a hash without lease may live, milliseconds of a
#: lease that is long enough. Answers {now in milliseconds, upto}, or {} where there is nothing to do.
#: From here on endings are published into the hash, so whoever reads the log now misses none.
BEGIN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lock = redis.call('HGET', KEYS[1], 'lock')
if lock and tonumber(string.match(lock, '^%d+')) > now then return {} end
local left = redis.call('PTTL', KEYS[1])
if left > tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[1], 'lease') == 1 then return {} end
redis.call('HSET', KEYS[1], 'lock', string.format('%.0f', now + ARGV[2]) .. ' ' .. ARGV[1])
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return {string.format('%.0f', now), redis.call('HGET', KEYS[1], 'upto') or ''}
"""

#: ARGV: owner, upto, when the lease ends (milliseconds), the oldest second that matters. Answers 1 if the
#: lease was given: not if the hash has vanished meanwhile, or somebody else is reading the log.
FINISH: Final = """
local lock = redis.call('HGET', KEYS[1], 'lock')
if not lock or string.match(lock, ' (.*)$') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'upto', ARGV[2], 'lease', '1')
redis.call('HDEL', KEYS[1], 'lock')
local first = tonumber(redis.call('HGET', KEYS[1], 'first') or '1')
for _ = 1, 2000 do
  local entry = redis.call('HGET', KEYS[1], '#' .. first)
  if not entry then break end
  local at, told, name = string.match(entry, '^(%d+) (%S*) (.*)$')
  if tonumber(at) >= tonumber(ARGV[4]) then break end
  redis.call('HDEL', KEYS[1], '#' .. first)
  if redis.call('HGET', KEYS[1], name) == told then redis.call('HDEL', KEYS[1], name) end
  first = first + 1
end
redis.call('HSET', KEYS[1], 'first', first)
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1
"""

#: ARGV: epoch, the last number known, the line that stood there, how many at most. Answers {epoch, 1 if from
#: the beginning, number reached, last number, lines ...}; {} without a lease. It begins again where the epoch
#: or the line is another: a Redis gone back in time gives its numbers anew.
SINCE: Final = """
if redis.call('HEXISTS', KEYS[1], 'lease') == 0 then return {} end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
local from = tonumber(redis.call('HGET', KEYS[1], 'first') or '1')
local known, whole = tonumber(ARGV[2]), 1
if epoch == ARGV[1] and (redis.call('HGET', KEYS[1], '#' .. known) or '') == ARGV[3] then
  from, whole = math.max(from, known + 1), 0
end
local to = math.min(last, from + ARGV[4] - 1)
local found = {epoch, whole, math.max(to, from - 1), last}
for n = from, to do found[#found + 1] = redis.call('HGET', KEYS[1], '#' .. n) or '' end
return found
"""

#: ARGV: name, told ... as PUBLISH, but only for the owner of the lock, who comes first. Answers 1 if added.
ADD: Final = (
    _APPEND
    + """
local lock = redis.call('HGET', KEYS[1], 'lock')
if not lock or string.match(lock, ' (.*)$') ~= ARGV[1] then return 0 end
append(KEYS[1], 2)
return 1
"""
)
