package engine

import (
	"maps"
	"slices"
	"strconv"
)

// Redacted stands for a secret.
const Redacted = "•••"

// Mask returns a copy of v, a value at n, whose secrets are Redacted. A value is secret if any part of the schema
// that may apply to it says so, even in an alternative that does not.
func (n *Node) Mask(v any) any { return mask([]*Node{n}, v, true) }

// Secret reports whether the value at n is secret.
func (n *Node) Secret() bool { return isSecret(expand([]*Node{n})) }

// Restore puts the secrets of old into v, which it changes, where v has Redacted or, if absent,
// nothing at all.
func (s *Schema) Restore(v, old any, absent bool) (any, []Problem) {
	r := restorer{absent: absent}
	v = r.restore([]*Node{s.Root}, v, old, "")
	return v, r.missing
}

// A restorer puts secrets back.
type restorer struct {
	absent  bool // also where they are absent
	missing []Problem
}

func (r *restorer) restore(nodes []*Node, v, old any, path string) any {
	nodes = expand(nodes)
	if isSecret(nodes) {
		switch {
		case v != Redacted:
		case old != nil:
			return old
		default:
			r.missing = append(r.missing, Problem{Path: path, Message: "is hidden and not known here; give its value"})
		}
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		was, _ := old.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			v[key] = r.restore(step(nodes, key), v[key], was[key], path+"/"+Escape(key))
		}
		for key, e := range was {
			if _, ok := v[key]; r.absent && !ok && isSecret(step(nodes, key)) {
				v[key] = e
			}
		}
	case []any:
		was, _ := old.([]any)
		partner := partners(nodes, v, was)
		for i, e := range v {
			key := strconv.Itoa(i)
			v[i] = r.restore(step(nodes, key), e, partner[i], path+"/"+key)
		}
	}
	return v
}

// partners finds for each item of a list the old item whose secrets it may have. Giving it those of
// another one could send a password to the wrong server.
func partners(nodes []*Node, list, old []any) []any {
	now, was := openTexts(nodes, list), openTexts(nodes, old)
	found, taken := make([]any, len(list)), make([]bool, len(old))
	give := func(i, j int) { found[i], taken[j] = old[j], true }

	places := map[string][]int{}
	for j := range was {
		if j < len(now) && now[j] == was[j] {
			give(j, j)
		} else {
			places[was[j]] = append(places[was[j]], j)
		}
	}
	for i, text := range now {
		if same := places[text]; found[i] == nil && len(same) > 0 {
			give(i, same[0])
			places[text] = same[1:]
		}
	}
	for i := range found {
		if found[i] == nil && len(list) == len(old) && !taken[i] {
			give(i, i)
		}
	}
	return found
}

// openTexts returns the items of a list as texts without their secrets.
func openTexts(nodes []*Node, list []any) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		text, _ := Encode(mask(step(nodes, strconv.Itoa(i)), e, false)) // it was decoded
		texts[i] = string(text)
	}
	return texts
}

// mask returns a copy of v whose secrets are Redacted if show, and absent or null if not.
func mask(nodes []*Node, v any, show bool) any {
	nodes = expand(nodes)
	switch {
	case !isSecret(nodes) || v == nil:
	case show:
		return Redacted
	default:
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			if e = mask(step(nodes, key), e, show); e != nil || show {
				m[key] = e
			}
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = mask(step(nodes, strconv.Itoa(i)), e, show)
		}
		return list
	}
	return v
}

// expand returns nodes and all their alternatives.
func expand(nodes []*Node) []*Node {
	if len(nodes) == 1 && len(nodes[0].alts) == 0 {
		return nodes
	}
	var all []*Node
	var add func(*Node)
	add = func(n *Node) {
		if !slices.Contains(all, n) {
			all = append(all, n)
			for _, alt := range n.alts {
				add(alt)
			}
		}
	}
	for _, n := range nodes {
		add(n)
	}
	return all
}

func isSecret(nodes []*Node) bool {
	return slices.ContainsFunc(nodes, func(n *Node) bool { return n.secret })
}

// step returns the nodes of a field or an item. Alternatives count.
func step(nodes []*Node, key string) []*Node {
	var next []*Node
	add := func(n *Node) {
		if n != nil && !slices.Contains(next, n) {
			next = append(next, n)
		}
	}
	i, err := strconv.Atoi(key)
	for _, n := range expand(nodes) {
		if at, ok := n.index[key]; ok {
			add(n.Props[at].Node)
		} else {
			add(n.Additional)
		}
		for _, p := range n.Patterns {
			if p.MatchString(key) {
				add(p.Node)
			}
		}
		if err == nil && i >= 0 {
			add(n.element(i))
		}
	}
	return expand(next)
}
