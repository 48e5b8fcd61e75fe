-- Looks at entries that are to be handed over, and names those that would be refused. It writes nothing.
--
-- ARGV: the epoch and last ID that the sink must hold; then for each entry its kind, its key and the size of its
-- payload, as task_append has them. Answers with the number of an entry, counted from 1, and the reason, for each that
-- would be refused. It need not name all of them.
if epoch ~= ARGV[1] or last ~= ARGV[2] then
  return {}
end

-- most_keys is how many keys a call looks at: Redis serves nobody else meanwhile.
local most_keys, keys_seen = 10000, 0

-- unheard reports whether nobody subscribes to the channel of an exchange. PUBSUB does not say who has subscribed by a
-- pattern, as kombu does. kombu passes over a message without content.
local known = {}
local function unheard(to)
  if known[to.channel] == nil then
    known[to.channel] = publish(to, '') == 0
  end
  return known[to.channel]
end

-- trim trims a key to more than it can hold, which changes nothing.
local function trim(key, kind)
  if kind == 'stream' then
    return redis.pcall('XTRIM', key, 'MAXLEN', '9223372036854775807')
  end
  return redis.pcall('LTRIM', key, 0, -1)
end

-- unwritable returns the error of a key that the ACL lets us read and not write to, if it is one. The mark is a key that
-- we may write to: where its trim fails for anything but its type, the command itself is denied, and tells nothing.
local function unwritable(key, kind)
  local reply = trim(key, kind)
  return failed(reply) and reached_mark(trim(mark_key, kind)) and reply
end

-- unfit returns the error with which a push of an entry would fail, if it would.
local function unfit(kind, key, size)
  keys_seen = keys_seen + 1
  if kind == 'exchange' then
    local to = cjson.decode(key)
    local queues, is_topic, wrong = queues_of(to)
    if wrong then
      return wrong
    end
    keys_seen = keys_seen + #queues
    local _, lists, reply = lists_of(to, queues, size)
    for _, list in ipairs(lists or {}) do
      reply = reply or unwritable(list, 'list')
    end
    return reply and (is_topic or unheard(to)) and reply
  end
  return wrong_type(key, kind) or kind == 'stream' and reserved(key) or unwritable(key, kind)
end

local at_fault, named = {}, {}
for i = 3, #ARGV, 3 do
  local kind = ARGV[i]
  local ok, reply = pcall(unfit, kind, ARGV[i + 1], tonumber(ARGV[i + 2]))
  if ok and failed(reply) then
    if string.find(reply.err, '^LATER') then
      break
    end
    if at_fault[kind] == nil then
      at_fault[kind] = entry_at_fault(kind)
    end
    if at_fault[kind] then
      named[#named + 1] = i / 3
      named[#named + 1] = reply.err
    end
  end
  if keys_seen > most_keys then
    break
  end
end
return named
