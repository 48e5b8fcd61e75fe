-- A run that goes through an exchange is put into the queues that are bound to it, as kombu finds them: `to` is what
-- celery.Exchange says. Of several, each gets a delivery of its own, which goes back to that queue when its worker dies.

-- What a topic binding is made of, besides bytes. To kombu * is one word or more, and # any text.
local ANY, IN_A_WORD = -1, -2
local DOT = 46

-- longest is how long a routing key can be that a topic binding leads: AMQP has no longer ones.
local longest = 255

-- topic takes a topic binding apart: * is any text and a byte that ends a word.
local function topic(bound)
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

-- matches takes time by the product of the lengths at most, whatever the binding is: where it fails, only the newest ANY
-- has to take more. The patterns of Lua and of Python try all of them again.
local function matches(parts, key)
  local part, at, any, from = 1, 1, nil, nil
  while at <= #key do
    local want, byte = parts[part], string.byte(key, at)
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

local function leads(bound, pattern, routing_key)
  if pattern == '' then
    return bound == routing_key
  end
  -- Each # of a binding has a dot beside it, which the key must have too: one that is much longer than the key fits nothing.
  return #routing_key <= longest and #bound <= 2 * #routing_key + 1 and matches(topic(bound), routing_key)
end

-- Redis does nothing else while a script runs, and has all copies of a message in memory.
local most_bindings, most_bytes = 10000, 64 * 1024 * 1024

local function too_many(to, number, what)
  return redis.error_reply('TOOMANY exchange ' .. to.exchange .. ' has ' .. number .. ' ' .. what)
end

-- taken_apart has the bindings of each exchange that this call has come across.
local taken_apart = {}

-- bindings are those of an exchange, and whether it is known to be a topic exchange.
local function bindings(to)
  if taken_apart[to.bindings] then
    return taken_apart[to.bindings]
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
  local all = {is_topic = false}
  for _, member in ipairs(members) do
    local first, first_end = string.find(member, to.separator, 1, true)
    local second, second_end = string.find(member, to.separator, (first_end or #member) + 1, true)
    if second then
      local pattern, queue = string.sub(member, first_end + 1, second - 1), string.sub(member, second_end + 1)
      all.is_topic = all.is_topic or pattern ~= ''
      if queue ~= '' then
        all[#all + 1] = {bound = string.sub(member, 1, first - 1), pattern = pattern, queue = queue}
      end
    end
  end
  taken_apart[to.bindings] = all
  return all
end

-- bound are the queues that a routing key leads to, each once, and whether the exchange is known to be a topic exchange.
local function bound(to)
  local all, wrong = bindings(to)
  if wrong then
    return nil, false, wrong
  end
  local queues, known = {}, {}
  for _, b in ipairs(all) do
    if not known[b.queue] and leads(b.bound, b.pattern, to.routing_key) then
      known[b.queue] = true
      queues[#queues + 1] = b.queue
    end
  end
  table.sort(queues)
  return queues, all.is_topic
end

-- readdressed writes where a message goes over what stands for it, and the number of the copy behind the delivery tag.
local function readdressed(payload, to, exchange, routing_key, number)
  local place = '"exchange":"","routing_key":"' .. to.tag .. '"'
  local first, last = string.find(payload, place, 1, true)
  local _, tag = string.find(payload, to.tag, last, true)
  return string.sub(payload, 1, first - 1) .. '"exchange":' .. cjson.encode(exchange) .. ',"routing_key":' .. cjson.encode(routing_key)
    .. string.sub(payload, last + 1, tag) .. (number > 1 and '-' .. number or '') .. string.sub(payload, tag + 1)
end

-- through puts a message into all queues or, when one of them cannot take it, into none.
local function through(to, payload)
  local queues, is_topic, wrong = bound(to)
  if wrong then
    return wrong
  end
  if not is_topic then -- those who listen to a fanout exchange take it from a channel; nobody listens to a direct one
    local heard = redis.pcall('PUBLISH', to.channel, readdressed(payload, to, to.exchange, to.routing_key, 1))
    if type(heard) == 'number' and heard > 0 then
      return heard
    end
  end
  if #queues == 0 and to.queue ~= '' then
    queues[1] = to.queue
  end
  if #queues == 0 then
    return redis.error_reply('UNROUTABLE no queue is bound to exchange ' .. to.exchange .. ' with routing key ' .. to.routing_key)
  end
  if #queues * #payload > most_bytes then
    return too_many(to, #queues, 'queues for routing key ' .. to.routing_key .. ': copies of ' .. #payload .. ' bytes for all of them come to more than '
      .. most_bytes / 1024 / 1024 .. ' MiB')
  end
  local keys = {}
  for i, queue in ipairs(queues) do
    keys[i] = to.prefix .. queue .. to.suffix
    wrong = wrong_type(keys[i], 'list')
    if wrong then
      return wrong
    end
  end
  for i, key in ipairs(keys) do
    local reply = redis.pcall('LPUSH', key, readdressed(payload, to, '', queues[i], i))
    if failed(reply) then
      for done = 1, i - 1 do
        redis.pcall('LPOP', keys[done])
      end
      return reply
    end
  end
end

