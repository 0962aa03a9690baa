
# The words that can stand next in the command itself, besides the options.
function __protocol_parse_text
    set -l text
    set -l skip
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip
            continue
        end
        switch $word
            case --as --grammar -C --repo --dialect --from --to --complete
                set skip yes
            case '-*'
            case '*'
                set -a text $word
        end
    end
    set -a text (commandline -ct)
    protocol-parse --complete (string join -- ' ' $text) 2>/dev/null
end
complete -c protocol-parse -f -a '(__protocol_parse_text)'
