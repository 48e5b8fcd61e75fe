-- The key that holds the epoch and the ID of our last message; every script begins with this file.
local function failed(reply)
  return type(reply) == 'table' and reply.err
end

-- wrong_type never raises: after a write a script must come to its end.
local function wrong_type(key, want)
  local reply = redis.pcall('TYPE', key)
  if reply.err then
    return reply
  end
  if reply.ok ~= 'none' and reply.ok ~= want then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. reply.ok .. ', not a ' .. want)
  end
end

-- readable reports whether a text is an ID that our programs can read: they count in 64 bits.
local function readable(id)
  local batch, place = string.match(id, '^(%d+)-(%d+)$')
  return batch ~= nil and #batch <= 18 and #place <= 18
end

-- held is the epoch and the last ID of a key. Where the ID cannot be read, nothing of it counts: the key is as good as gone.
local function held(key)
  local got = redis.call('HMGET', key, 'epoch', 'last')
  if got[2] and not readable(got[2]) then
    return '', '0-0'
  end
  return got[1] or '', got[2] or '0-0'
end

-- belongs notes of which installation a key is, and which servers its database has been on, the present one last.
local function belongs(key, installation, server)
  if installation == '' or server == '' then
    return
  end
  local servers = {}
  for other in string.gmatch(redis.call('HGET', key, 'servers') or '', '%S+') do
    if other ~= server then
      servers[#servers + 1] = other
    end
  end
  servers[#servers + 1] = server
  redis.call('HSET', key, 'installation', installation, 'servers', table.concat(servers, ' ', math.max(1, #servers - 15)))
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

-- field is a member of what XINFO says.
local function field(info, name)
  for i = 1, #info, 2 do
    if info[i] == name then
      return info[i + 1]
    end
  end
end

