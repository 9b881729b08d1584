package main

import (
	"path"
	"strings"
)

// languageOf says by its name what a file is written in.
func languageOf(name string, binary bool) string {
	if binary {
		return "(binary)"
	}
	base := strings.ToLower(path.Base(name))
	if l, ok := languages[base]; ok {
		return l
	}
	if l, ok := languages[path.Ext(base)]; ok {
		return l
	}
	return "(other)"
}

// languages are named by extension or by file name, in lower case.
var languages = map[string]string{
	".go": "Go", "go.mod": "Go module", "go.sum": "Go module", "go.work": "Go module",
	".s": "Assembly", ".asm": "Assembly",
	".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++", ".cxx": "C++", ".hpp": "C++",
	".rs": "Rust", ".zig": "Zig", ".swift": "Swift", ".m": "Objective-C", ".f90": "Fortran", ".f": "Fortran",
	".java": "Java", ".kt": "Kotlin", ".scala": "Scala", ".groovy": "Groovy", ".clj": "Clojure",
	".cs": "C#", ".fs": "F#", ".vb": "Visual Basic",
	".py": "Python", ".rb": "Ruby", ".pl": "Perl", ".pm": "Perl", ".php": "PHP", ".lua": "Lua", ".r": "R", ".jl": "Julia",
	".hs": "Haskell", ".ml": "OCaml", ".ex": "Elixir", ".exs": "Elixir", ".erl": "Erlang", ".lisp": "Lisp", ".el": "Lisp",
	".js": "JavaScript", ".mjs": "JavaScript", ".jsx": "JavaScript", ".ts": "TypeScript", ".tsx": "TypeScript",
	".html": "HTML", ".htm": "HTML", ".tmpl": "HTML", ".css": "CSS", ".scss": "CSS", ".vue": "Vue", ".svg": "SVG",
	".sh": "Shell", ".bash": "Shell", ".zsh": "Shell", ".rc": "Shell", ".bat": "Batch", ".ps1": "PowerShell", ".awk": "Awk",
	".sql": "SQL", ".proto": "Protocol Buffers", ".graphql": "GraphQL",
	".json": "JSON", ".yaml": "YAML", ".yml": "YAML", ".toml": "TOML", ".xml": "XML", ".csv": "CSV", ".ini": "INI",
	".md": "Markdown", ".rst": "reStructuredText", ".txt": "Text", ".tex": "TeX",
	".golden": "Test data", ".txtar": "Test data", ".out": "Test data",
	".pem": "Keys", ".crt": "Keys", ".key": "Keys", ".diff": "Patch", ".patch": "Patch",
	"makefile": "Make", ".mk": "Make", "cmakelists.txt": "CMake", ".cmake": "CMake", "dockerfile": "Docker",
	"license": "Text", "readme": "Text", "copying": "Text", "authors": "Text", "contributors": "Text",
	".gitignore": "Git", ".gitattributes": "Git",
}
