-- The key that holds the epoch and the ID of our last message; every script begins with this file.
local function wrong_type(key, want)
  local is = redis.call('TYPE', key).ok
  if is ~= 'none' and is ~= want then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. is .. ', not a ' .. want)
  end
end

local function held(key)
  local got = redis.call('HMGET', key, 'epoch', 'last')
  return got[1] or '', got[2] or '0-0'
end

-- IDs are compared as text: a number of Lua is not exact beyond 2^53.
local function more(a, b)
  return #a > #b or (#a == #b and a > b)
end

local function above(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if a1 == b1 then
    return more(a2, b2)
  end
  return more(a1, b1)
end

local function failed(reply)
  return type(reply) == 'table' and reply.err
end
