package tokenizer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// pattern matches a regular expression of Oniguruma (doc/RE of github.com/kkos/oniguruma),
// as far as package regexp can express it, with one addition: the expressions by which
// tokenizers split words off a text end in alternatives that leave the last white space
// before a word to that word, which takes looking ahead.
type pattern struct {
	*regexp.Regexp
	leavesSpace bool // whether the last group is white space of which the last one stays if more follows
}

// The ends of expressions that look ahead. What they match is the same.
const (
	leavesSpace       = `\s+(?!\S)|\s+`
	leavesSingleSpace = `\s+(?!\S)|\s`
)

// Character classes within brackets. Oniguruma's are those of Unicode, Go's are ASCII's.
const (
	spaceClass    = `\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`
	notSpaceClass = `\x{0}-\x{8}\x{e}-\x{1f}!-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}`
)

// compilePattern translates an expression. One that package regexp could match only
// differently is an error.
func compilePattern(expression string) (*pattern, error) {
	rest, leaves := strings.CutSuffix(expression, leavesSpace)
	if !leaves {
		rest, leaves = strings.CutSuffix(expression, leavesSingleSpace)
	}
	translated, err := translate(rest)
	if err != nil {
		return nil, err
	}
	if leaves {
		if rest != "" && !strings.HasSuffix(rest, "|") {
			return nil, errors.New("looking ahead is supported only as a last alternative " + leavesSpace)
		}
		translated += "([" + spaceClass + "]+)"
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return nil, err
	}
	if re.MatchString("") {
		return nil, errors.New("matches nothing at all, want it to match at least one character")
	}
	return &pattern{re, leaves}, nil
}

// translate rewrites what Oniguruma and package regexp spell differently, and refuses what
// they understand differently.
func translate(expression string) (string, error) {
	var out strings.Builder
	inClass := false
	for i := 0; i < len(expression); i++ {
		rest := expression[i:]
		switch c := expression[i]; {
		case c == '\\':
			translated, size, err := translateEscape(rest, inClass)
			if err != nil {
				return "", err
			}
			out.WriteString(translated)
			i += size - 1
			continue
		case inClass && (c == '[' || strings.HasPrefix(rest, "&&")):
			return "", errors.New("a set within a set is not supported")
		case inClass:
			inClass = c != ']'
		case strings.HasPrefix(rest, "[]"), strings.HasPrefix(rest, "[^]"):
			return "", errors.New("an empty set is not supported")
		case strings.HasPrefix(rest, "[^"):
			out.WriteByte(c)
			i++
			inClass = true
		case c == '[':
			inClass = true
		case c == '^', c == '$':
			return "", fmt.Errorf("%c is not supported", c)
		case strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:") && !strings.HasPrefix(rest, "(?i:"):
			return "", fmt.Errorf("the group %.4s is not supported", rest)
		case c == '{' && (len(rest) < 2 || rest[1] < '0' || rest[1] > '9'):
			return "", errors.New("a { that no number follows is not supported")
		}
		out.WriteByte(expression[i])
	}
	return out.String(), nil
}

// translateEscape translates the escape at the start of text and returns its length.
func translateEscape(text string, inClass bool) (translated string, size int, err error) {
	if len(text) < 2 {
		return "", 0, errors.New("ends in a backslash")
	}
	set := func(members string) string {
		if inClass {
			return members
		}
		return "[" + members + "]"
	}
	switch c := text[1]; c {
	case 's':
		return set(spaceClass), 2, nil
	case 'S':
		return set(notSpaceClass), 2, nil
	case 'd':
		return `\p{Nd}`, 2, nil
	case 'D':
		return `\P{Nd}`, 2, nil
	case 'p', 'P':
		end := strings.IndexByte(text, '}')
		if text[2:min(3, len(text))] != "{" || end < 0 {
			return "", 0, fmt.Errorf("\\%c without braces is not supported", c)
		}
		return text[:end+1], end + 1, nil
	case 't', 'n', 'v', 'f', 'r':
		return text[:2], 2, nil
	case 'u':
		if len(text) < 6 {
			return "", 0, fmt.Errorf("%s is too short", text)
		}
		return `\x{` + text[2:6] + `}`, 6, nil
	default:
		if c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			return "", 0, fmt.Errorf("\\%c is not supported", c)
		}
		return text[:2], 2, nil
	}
}

func (p *pattern) find(text []byte, from int) (start, end int) {
	groups := p.FindSubmatchIndex(text[from:])
	if groups == nil {
		return -1, -1
	}
	start, end = from+groups[0], from+groups[1]
	if p.leavesSpace && groups[len(groups)-2] >= 0 && end < len(text) {
		if shorter := end - lastSize(text[start:end]); shorter > start {
			end = shorter
		}
	}
	return start, end
}

// lastSize returns the length of the last character of text.
func lastSize(text []byte) int {
	_, size := utf8.DecodeLastRune(text)
	return size
}
