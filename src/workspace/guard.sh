#!/bin/sh
# Written by worktree-spawn(1), the same for all agents' worktrees: keeps each agent to its own refs,
# and hands every hook on to the repository's own.
name=${0##*/}
git_dir=${GIT_DIR:-$(git rev-parse --git-dir)} || exit 0
common=$git_dir
if [ -r "$git_dir/commondir" ]; then
    read -r relative < "$git_dir/commondir"
    case $relative in /*) common=$relative ;; *) common=$git_dir/$relative ;; esac
fi

# Says on standard output what is not this agent's to move, a line each.
strange() {
    { read -r mode; read -r agent; read -r branch; read -r base; } < "$git_dir/spore/guard"
    while read -r old new ref; do
        # Nothing but zeros: it goes, whatever it was.
        case $new in *[!0]*) [ "$old" = "$new" ] && continue ;; esac
        case $ref in
        "refs/heads/$branch") continue ;;
        refs/stash)
            # Within a commit it is a hook that saves and restores, not the agent.
            [ -n "$GIT_INDEX_FILE" ] || echo "the stash, which all worktrees share"
            continue ;;
        refs/spore/*) echo "$ref, where saved work is"; continue ;;
        refs/heads/*|refs/tags/*) ;;
        *) continue ;;
        esac
        # A new one is nobody's yet.
        git show-ref --verify -q "$ref" || continue
        short=${ref#refs/heads/}
        case " $base " in *" $short "*) echo "$short, which is everybody's base"; continue ;; esac
        owner=
        for other in "$common"/worktrees/*/spore/guard; do
            [ -r "$other" ] || continue
            { read -r its_mode; read -r its_agent; read -r its_branch; } < "$other"
            if [ "$its_branch" = "$short" ]; then owner=$its_agent; fi
        done
        if [ -n "$owner" ]; then echo "$short, the branch of $owner"; continue; fi
        here=$(git symbolic-ref -q HEAD)
        if [ -r "$git_dir/rebase-merge/head-name" ]; then read -r here < "$git_dir/rebase-merge/head-name"; fi
        if [ -r "$git_dir/rebase-apply/head-name" ]; then read -r here < "$git_dir/rebase-apply/head-name"; fi
        [ "$here" = "$ref" ] || echo "$ref, which is not checked out here"
    done
}

if [ "$name" = reference-transaction ]; then
    input=$(cat)
    if [ "$1" = prepared ] && [ -r "$git_dir/spore/guard" ]; then
        { read -r mode; read -r agent; } < "$git_dir/spore/guard"
        mode=${SPORE_GUARD:-$mode}
        if [ "$mode" != off ]; then
            found=$(printf '%s\n' "$input" | strange)
            if [ -n "$found" ]; then
                verb="may not move"
                [ "$mode" = warn ] && verb="moves"
                printf '%s\n' "$found" | while read -r what; do
                    echo "spore guard: $agent $verb $what" >&2
                    case $what in
                    "the stash"*) echo "hint: git commit -m wip keeps it on your own branch" >&2 ;;
                    esac
                done
                if [ "$mode" != warn ]; then
                    echo "hint: SPORE_GUARD=off git ... where a person wants it" >&2
                    exit 1
                fi
            fi
        fi
    fi
fi

hooks=$(git config --type=path --show-scope --get-all core.hooksPath | sed -n '/^worktree	/!s/^[a-z]*	//p' | tail -n 1)
hook=${hooks:-$common/hooks}/$name
if [ -x "$hook" ] && [ ! -d "$hook" ]; then
    [ "$name" = reference-transaction ] || exec "$hook" "$@"
    printf '%s\n' "$input" | "$hook" "$@"
fi
