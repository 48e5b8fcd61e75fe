-- Where a task sink stands. Workers take the tasks out of its queues, so only the mark knows. KEYS: the mark.
local mark_key = KEYS[1]
local wrong = wrong_type(mark_key, 'hash')
if wrong then
  return wrong
end
local epoch, last = read_mark(mark_key)
