-- Where a task sink is: only its own key knows. KEYS: that key.
local state = KEYS[1]
local wrong = wrong_type(state, 'hash')
if wrong then
  return wrong
end
local epoch, last = held(state)
