-- Looks at entries that are to be handed over, and names those that would be refused. It writes nothing.
--
-- ARGV: the epoch and last ID that the sink must hold; then for each entry its kind, its key and the size of its
-- payload, as task_append has them. Answers with the number of an entry, counted from 1, and the reason, for each that
-- would be refused. It need not name all of them: a list that may be read and not written to looks sound.
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
    local _, _, reply = lists_of(to, queues, size)
    return reply and (is_topic or unheard(to)) and reply
  end
  return wrong_type(key, kind) or kind == 'stream' and reserved(key)
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
