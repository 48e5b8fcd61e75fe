_tactus() {
	local line word
	local -a words=()
	for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
		words+=("${word//\\/}")
	done
	COMPREPLY=()
	while IFS= read -r line; do
		COMPREPLY+=("$(printf '%q' "$line")")
	done < <("${COMP_WORDS[0]}" completion words -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _tactus tactus
