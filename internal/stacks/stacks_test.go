package stacks_test

import (
	"strings"
	"testing"

	"github.com/embedjobs/jobs/internal/stacks"
)

func TestOf(t *testing.T) {
	self := make(chan string)
	end := make(chan struct{})
	go waitHere(self, end)
	number := <-self
	if got := stacks.Of(number); !strings.Contains(got, "waitHere") {
		t.Errorf("Of(%q) = %q, want the stack of waitHere", number, got)
	}
	close(end)
	if got := stacks.Of("0"); got != "" {
		t.Errorf("Of of no goroutine = %q, want nothing", got)
	}
}

func waitHere(self chan<- string, end <-chan struct{}) {
	self <- stacks.Self()
	<-end
}

func TestPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
		if got := stacks.Panic(); !strings.Contains(strings.SplitN(got, "\n", 2)[0], "blowUp") {
			t.Errorf("Panic begins %q, want the function that panicked", strings.SplitN(got, "\n", 2)[0])
		}
	}()
	blowUp()
}

func blowUp() { panic("boom") }
