complete -c protocol-parse -l as -d 'Who you are, outside an agent\'s worktree' -r
complete -c protocol-parse -l grammar -d 'Add the words of this file to the built-in ones' -r -F
complete -c protocol-parse -s C -l repo -d 'The repository, as if started there' -r -F
complete -c protocol-parse -l complete -d 'Write the words that can stand next in this line' -r
complete -c protocol-parse -l dialect -d 'Read lines as the original does: its logs, where every bare word is a modifier, and what people typed to it' -r -f -a "reference\t'As the original writes it: verb, noun, modifiers, name=value'"
complete -c protocol-parse -l from -d 'Read the JSON of a neighbour' -r -f -a "jsonrpc\t'JSON-RPC 2.0: requests and responses'
mcp\t'Model Context Protocol: tools/call and its result'
cloudevents\t'CloudEvents 1.0'
a2a\t'A2A 1.0: messages and tasks'"
complete -c protocol-parse -l to -d 'Write the JSON of a neighbour, its own errors included' -r -f -a "jsonrpc\t'JSON-RPC 2.0: requests and responses'
mcp\t'Model Context Protocol: tools/call and its result'
cloudevents\t'CloudEvents 1.0'
a2a\t'A2A 1.0: messages and tasks'"
complete -c protocol-parse -l core -d 'Refuse verbs and nouns that the original system does not know'
complete -c protocol-parse -l check -d 'Refuse commands that are not valid, such as `run task` without a task'
complete -c protocol-parse -l report -d 'Write one object for every line, mistakes included'
complete -c protocol-parse -l explain -d 'Say what each word became, and by which rule'
complete -c protocol-parse -l list -d 'Write the grammar as a table'
complete -c protocol-parse -l mcp-tools -d 'Write the commands as tools of the Model Context Protocol'
complete -c protocol-parse -l lint -d 'Say what is odd about the grammar, such as words that no line reaches'
complete -c protocol-parse -l json -d 'Write records with --list, --complete and --explain'
complete -c protocol-parse -s h -l help -d 'Print help (see more with \'--help\')'
complete -c protocol-parse -s V -l version -d 'Print version'

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
