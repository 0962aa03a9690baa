
# The words that can stand next in the command itself, besides the options.
_protocol__parse_text() {
    _protocol__parse "$@"
    local cur="${COMP_WORDS[COMP_CWORD]}" options=() text="" word option="" i
    case "$cur" in
        -*) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ -n "$option" ]]; then
            [[ "$word" = "=" ]] && continue
            [[ "$option" = --grammar || "$option" = -C || "$option" = --repo ]] && options+=("$option" "$word")
            option=""
            continue
        fi
        case "$word" in
            --as | --grammar | -C | --repo | --dialect | --from | --to | --complete) option="$word" ;;
            -*) ;;
            *) text+="$word " ;;
        esac
    done
    [[ -n "$option" ]] && return
    # A line in one pair of quotes is completed inside of them.
    local quote="" before=""
    case "$cur" in
        [\'\"]*) quote="${cur:0:1}" cur="${cur:1}" ;;
    esac
    case "$cur" in
        *\ *) before="${cur% *} " ;;
    esac
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        COMPREPLY+=("$before$word")
    done < <(protocol-parse "${options[@]}" --complete "$text$cur" 2>/dev/null)
}
complete -F _protocol__parse_text -o bashdefault -o default protocol-parse
