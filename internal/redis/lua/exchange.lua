-- A run that goes through an exchange is put into the queues that are bound to it, as kombu finds them: `to` is what
-- celery.Exchange says. Of several, each gets a delivery of its own, which goes back to that queue when its worker dies.

-- topic makes the pattern of a topic binding from its routing key. To kombu * is one word or more, and # any text.
local function topic(bound)
  local words = {}
  for word in string.gmatch(bound .. '.', '([^.]*)%.') do
    words[#words + 1] = word == '*' and '.-[^.]' or word == '#' and '.-' or string.gsub(word, '%W', '%%%0')
  end
  return '^' .. table.concat(words, '%.') .. '$'
end

local function leads(bound, pattern, routing_key)
  if pattern == '' then
    return bound == routing_key
  end
  local ok, found = pcall(string.match, routing_key, topic(bound))
  return ok and found
end

-- bound are the queues that a routing key leads to, each once, and whether the exchange is known to be a topic exchange.
local function bound(to)
  local wrong = wrong_type(to.bindings, 'set')
  if wrong then
    return nil, false, wrong
  end
  local members = redis.pcall('SMEMBERS', to.bindings)
  if failed(members) then
    return nil, false, members
  end
  local queues, known, is_topic = {}, {}, false
  for _, member in ipairs(members) do
    local first, first_end = string.find(member, to.separator, 1, true)
    local second, second_end = string.find(member, to.separator, (first_end or #member) + 1, true)
    if second then
      local pattern, queue = string.sub(member, first_end + 1, second - 1), string.sub(member, second_end + 1)
      is_topic = is_topic or pattern ~= ''
      if queue ~= '' and not known[queue] and leads(string.sub(member, 1, first - 1), pattern, to.routing_key) then
        known[queue] = true
        queues[#queues + 1] = queue
      end
    end
  end
  table.sort(queues)
  return queues, is_topic
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

