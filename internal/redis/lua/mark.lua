-- The mark is a hash of ours that holds the epoch and the ID of the last entry the relay has written to a sink. Every
-- script of a sink begins with this file, and follows one protocol, the fence:
--
--   the caller names    the sink holds      the script
--   (epoch, last)       (epoch, last)       writes, moves the mark to the last entry it wrote, and answers ok
--   (epoch, last)       any other pair      writes nothing, and answers mismatch with the pair that the sink holds
--
-- Redis runs one script at a time, so nothing can come between the comparison and the write. Without the fence, an
-- append whose answer was lost would be repeated and write its entries twice, and a relay that was suspended while
-- another took over would append old entries behind newer ones.
--
-- The mark also names the sink's owner: the installation, and the servers its database has been on, the present one
-- last.
local function failed(reply)
  return type(reply) == 'table' and reply.err
end

-- wrong_type returns an error when a key has another type than the wanted one, and nil otherwise. It never raises: a
-- script that raised after its first write would leave the mark behind the entries that it has written.
local function wrong_type(key, want)
  local reply = redis.pcall('TYPE', key)
  if reply.err then
    return reply
  end
  if reply.ok ~= 'none' and reply.ok ~= want then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. reply.ok .. ', not a ' .. want)
  end
end

-- The parts of IDs are compared as text: Lua's numbers are doubles, which are not exact beyond 2^53.
local function greater(a, b)
  return #a > #b or (#a == #b and a > b)
end

-- The numbers of batches are PostgreSQL's bigints, and end at 2^63. Two limits leave room below:
--
--   most_foreign   2^62             a foreign ID up to here may become the mark: the relay goes on above it
--   most_ours      2^62 + 2^61 - 1  a mark up to here is one that the relay has come to, or can go on from
--
-- What becomes the mark must be readable, and so must all that the relay numbers behind it.
local most_foreign, most_ours = '4611686018427387904', '6917529027641081855'

-- readable reports whether an ID can be a mark. None begins with a zero that our programs would not write: marks are
-- compared as text.
local function readable(id)
  local batch, row = string.match(id, '^(%d+)-(%d+)$')
  if batch == nil or string.find(batch, '^0%d') or string.find(row, '^0%d') then
    return false
  end
  return not greater(batch, most_ours) and #row <= 18
end

-- read_mark returns the epoch and the last ID that a mark holds: '' and '0-0' when there is no mark. A mark whose ID is
-- unreadable counts as lost, epoch and all.
local function read_mark(key)
  local got = redis.call('HMGET', key, 'epoch', 'last')
  if got[2] and not readable(got[2]) then
    return '', '0-0'
  end
  return got[1] or '', got[2] or '0-0'
end

-- set_owner records in a mark which installation owns it, and appends the server of its database to the list of
-- servers, which keeps the newest 16. It does nothing when the caller does not know who it is.
local function set_owner(key, installation, server)
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
  local newest = table.concat(servers, ' ', math.max(1, #servers - 15))
  redis.call('HSET', key, 'installation', installation, 'servers', newest)
end

-- above reports whether ID a is greater than ID b.
local function above(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if a1 == b1 then
    return greater(a2, b2)
  end
  return greater(a1, b1)
end

-- field returns the value of a field in a reply of XINFO, which is a flat list of names and values.
local function field(info, name)
  for i = 1, #info, 2 do
    if info[i] == name then
      return info[i + 1]
    end
  end
end

