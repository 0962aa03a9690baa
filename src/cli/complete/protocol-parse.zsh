# The words that can stand next in the command itself, besides the options.
_protocol-parse_text() {
    local -a found shown
    local line="${(j: :)words[1,CURRENT-1]} $PREFIX" word what
    while IFS=$'\t' read -r word what; do
        found+=("$word")
        shown+=("$word -- $what")
    done < <(protocol-parse --complete "$line" 2>/dev/null)
    compadd -l -d shown -a found
}

