-- Puts a run that goes through an exchange into the queues that are bound to the exchange, as kombu would. `to` is a
-- celery.Exchange. Each queue gets a copy with its own address and delivery tag, so that a copy whose worker dies goes
-- back to its own queue.

-- A topic binding is a list of bytes, dots and two wildcards. kombu makes regular expressions of bindings, and there *
-- matches one or more words (in AMQP: exactly one), and # any text.
--   ANY        any text, also none
--   IN_A_WORD  any one byte but a dot
local ANY, IN_A_WORD = -1, -2
local DOT = 46

-- longest is the length in bytes of the longest routing key that is matched with topic bindings. AMQP has no longer
-- ones.
local longest = 255

-- parse_topic parses a topic binding. * becomes ANY, IN_A_WORD: text whose last byte is not a dot.
local function parse_topic(bound)
  local parts = {}
  for word in string.gmatch(bound .. '.', '([^.]*)%.') do
    if word == '*' or word == '#' then
      parts[#parts + 1] = ANY
    end
    if word == '*' then
      parts[#parts + 1] = IN_A_WORD
    elseif word ~= '#' then
      for i = 1, #word do
        parts[#parts + 1] = string.byte(word, i)
      end
    end
    parts[#parts + 1] = DOT
  end
  parts[#parts] = nil
  return parts
end

-- Work is counted in bytes that are looked at, for one routing key and for the whole call: Redis serves nobody else
-- meanwhile. What a call has no time for is left to the next one. To read a binding costs some more than its bytes, and
-- to pass over one that has a pattern costs something, too.
local read_binding, pass_binding = 32, 4
local most_steps, most_steps_of_call = 500000, 2000000
local steps, steps_of_call = 0, 0

-- matches reports whether a parsed binding matches a routing key. Its time is bounded by the product of their lengths,
-- for any binding: after a mismatch only the newest ANY takes one byte more, because whatever an earlier ANY could take
-- instead, the newest can take too. The patterns of Lua and of Python try every ANY again, which is exponential.
local function matches(parts, key)
  local part, at, any, from = 1, 1, nil, nil
  while at <= #key and steps <= most_steps do
    local want, byte = parts[part], string.byte(key, at)
    steps = steps + 1
    if want == ANY then
      any, from, part = part, at, part + 1
    elseif want == byte or want == IN_A_WORD and byte ~= DOT then
      part, at = part + 1, at + 1
    elseif any then
      from = from + 1
      part, at = any + 1, from
    else
      return false
    end
  end
  while parts[part] == ANY do
    part = part + 1
  end
  return part > #parts
end

-- topic_matches reports whether a topic binding leads a routing key to its queue.
local function topic_matches(b, routing_key)
  -- Each wildcard of a binding has a dot beside it, and the key must have that dot too. So a binding of more than twice
  -- the key's length cannot match, and is not parsed. Nor can one whose text before its wildcards the key does not have.
  steps = steps + pass_binding
  if #routing_key > longest or #b.bound > 2 * #routing_key + 1 or string.sub(routing_key, 1, #b.text) ~= b.text then
    return false
  end
  steps = steps + #b.bound
  return matches(parse_topic(b.bound), routing_key)
end

-- Redis serves nobody else while a script runs, and holds all copies of a call in memory at once: those of one run have
-- the bound that those of a call have, and what a call has no room for is left to the next one.
local most_bindings, most_bytes, most_copies = 10000, 64 * 1024 * 1024, 20000
local bytes_of_call, copies_of_call = 0, 0

local function too_many(to, number, what)
  return redis.error_reply('TOOMANY exchange ' .. to.exchange .. ' has ' .. number .. ' ' .. what)
end

local function later(to)
  return redis.error_reply('LATER the bindings of exchange ' .. to.exchange .. ' have kept Redis busy for long enough')
end

-- cache holds the bindings of each exchange that this call has met, by key.
local cache = {}

-- bindings_of returns the bindings of an exchange: the queues of each routing key that is bound directly, and a list of
-- the bindings with a pattern. If there are any of these, it is a topic exchange.
local function bindings_of(to)
  if cache[to.bindings] then
    return cache[to.bindings]
  end
  if steps_of_call > most_steps_of_call then
    return nil, later(to)
  end
  local wrong = wrong_type(to.bindings, 'set')
  if wrong then
    return nil, wrong
  end
  local number = redis.pcall('SCARD', to.bindings)
  if failed(number) then
    return nil, number
  end
  if number > most_bindings then
    return nil, too_many(to, number, 'bindings: at most ' .. most_bindings .. ' are looked at for each run')
  end
  local members = redis.pcall('SMEMBERS', to.bindings)
  if failed(members) then
    return nil, members
  end
  local all = {number = number, direct = {}, topic = {}}
  for _, member in ipairs(members) do
    steps_of_call = steps_of_call + read_binding + #member
    local first, first_end = string.find(member, to.separator, 1, true)
    local second, second_end = string.find(member, to.separator, (first_end or #member) + 1, true)
    if second then
      local bound, queue = string.sub(member, 1, first - 1), string.sub(member, second_end + 1)
      if second > first_end + 1 then
        all.topic[#all.topic + 1] = {bound = bound, text = string.match(bound, '^[^*#]*'), queue = queue}
      elseif queue ~= '' then
        all.direct[bound] = all.direct[bound] or {}
        table.insert(all.direct[bound], queue)
      end
    end
  end
  cache[to.bindings] = all
  return all
end

-- led holds the queues of each routing key that this call has met, by key of the bindings and routing key.
local led = {}

-- queues_of returns the queues that a routing key leads to, each once and sorted, and whether the exchange is a topic
-- exchange.
local function queues_of(to)
  local all, wrong = bindings_of(to)
  if wrong then
    return nil, false, wrong
  end
  local is_topic = #all.topic > 0
  local met = to.bindings .. to.separator .. to.routing_key
  if led[met] then
    return led[met], is_topic
  end
  if #all.topic > 0 and steps_of_call > most_steps_of_call then
    return nil, false, later(to)
  end
  local queues, known = {}, {}
  local function leads_to(queue)
    if queue ~= '' and not known[queue] then
      known[queue] = true
      queues[#queues + 1] = queue
    end
  end
  for _, queue in ipairs(all.direct[to.routing_key] or {}) do
    leads_to(queue)
  end
  steps = 0
  for _, b in ipairs(all.topic) do
    if not known[b.queue] and topic_matches(b, to.routing_key) then
      leads_to(b.queue)
    end
    if steps > most_steps then
      steps_of_call = steps_of_call + steps
      return nil, false, too_many(to, all.number, 'bindings: to match routing key ' .. to.routing_key .. ' with them takes too long')
    end
  end
  steps_of_call = steps_of_call + steps
  table.sort(queues)
  led[met] = queues
  return queues, is_topic
end

-- addressed returns a message with its exchange and routing key in place of the placeholder that celery.Encode has put
-- there, and from the second copy on with the number of the copy behind the delivery tag: kombu keeps unacknowledged
-- deliveries by tag, and copies with one tag would overwrite each other there.
local function addressed(payload, to, exchange, routing_key, number)
  local placeholder = '"exchange":"","routing_key":"' .. to.tag .. '"'
  local first, last = string.find(payload, placeholder, 1, true)
  local _, tag = string.find(payload, to.tag, last, true)
  return string.sub(payload, 1, first - 1) .. '"exchange":' .. cjson.encode(exchange)
    .. ',"routing_key":' .. cjson.encode(routing_key)
    .. string.sub(payload, last + 1, tag) .. (number > 1 and '-' .. number or '') .. string.sub(payload, tag + 1)
end

-- lists_of returns the names of queues and the keys of their lists, or an error when one of them cannot take a message
-- of a size.
local function lists_of(to, queues, size)
  if #queues == 0 and to.queue ~= '' then
    queues = {to.queue}
  end
  if #queues == 0 then
    return nil, nil, redis.error_reply('UNROUTABLE no queue is bound to exchange ' .. to.exchange
      .. ' with routing key ' .. to.routing_key)
  end
  if #queues * size > most_bytes then
    return nil, nil, too_many(to, #queues, 'queues for routing key ' .. to.routing_key
      .. ': copies of ' .. size .. ' bytes for all of them come to more than '
      .. most_bytes / 1024 / 1024 .. ' MiB')
  end
  if bytes_of_call > 0 and (bytes_of_call + #queues * size > most_bytes or copies_of_call + #queues > most_copies) then
    return nil, nil, redis.error_reply('LATER copies of other runs through exchange ' .. to.exchange
      .. ' have filled the call')
  end
  local keys = {}
  for i, queue in ipairs(queues) do
    keys[i] = to.prefix .. queue .. to.suffix
    local wrong = wrong_type(keys[i], 'list')
    if wrong then
      return nil, nil, wrong
    end
  end
  return queues, keys
end

-- publish sends a message to whoever subscribes to the channel of an exchange, and returns how many did.
local function publish(to, message)
  local heard = redis.pcall('PUBLISH', to.channel, message)
  return type(heard) == 'number' and heard or 0
end

-- push_through puts a message into all queues that are bound or, when one of them cannot take it, into none. It returns
-- an error, or nil or a number.
local function push_through(to, payload)
  local bound, is_topic, wrong = queues_of(to)
  if wrong then
    return wrong
  end
  -- A fanout exchange is a Pub/Sub channel: when somebody receives the message there, the queues get none. Nobody
  -- subscribes to the channel of a direct exchange, so the two need not be told apart.
  if not is_topic then
    local heard = publish(to, addressed(payload, to, to.exchange, to.routing_key, 1))
    if heard > 0 then
      return heard
    end
  end
  local queues, keys, unfit = lists_of(to, bound, #payload)
  if unfit then
    return unfit
  end
  bytes_of_call, copies_of_call = bytes_of_call + #queues * #payload, copies_of_call + #queues
  for i, key in ipairs(keys) do
    local reply = redis.pcall('LPUSH', key, addressed(payload, to, '', queues[i], i))
    if failed(reply) then
      for done = 1, i - 1 do
        redis.pcall('LPOP', keys[done])
      end
      return reply
    end
  end
end
