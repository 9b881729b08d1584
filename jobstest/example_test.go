package jobstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
)

type Account struct {
	Name string `json:"name"`
}

// An app is the application that the examples test.
type app struct {
	reg   jobs.Registry
	bill  *jobs.TaskOf[Account, int]
	mail  *jobs.TaskOf[Account, struct{}]
	fetch *jobs.TaskOf[Account, time.Time]
}

func newApp() *app {
	a := new(app)
	a.mail = jobs.Register(&a.reg, jobs.Task{Name: "mail"}, func(ctx context.Context, to Account) (struct{}, error) {
		jobs.Logger(ctx).Info("mailed", "to", to.Name)
		return struct{}{}, nil
	})
	a.bill = jobs.Register(&a.reg, jobs.Task{Name: "bill"}, func(ctx context.Context, to Account) (int, error) {
		if to.Name == "" {
			return 0, jobs.Fail(errors.New("no name"))
		}
		return 42, jobs.Defer(ctx, a.mail.Request(to))
	})
	opens := time.Now().Add(6 * time.Hour)
	a.fetch = jobs.Register(&a.reg, jobs.Task{Name: "fetch"}, func(context.Context, Account) (time.Time, error) {
		if time.Now().Before(opens) {
			return time.Time{}, errors.New("503 Service Unavailable")
		}
		return time.Now(), nil
	})
	return a
}

// Run makes one attempt and returns all there is to know of it.
func ExampleRun() {
	var t *testing.T // of the test

	a := newApp()
	got := jobstest.Run(t, &a.reg, a.mail.Request(Account{Name: "Ada"}))
	if got.Job.State != jobs.Succeeded || got.Log[0].Message != "mailed" {
		t.Errorf("got %v with log %v", got.Job, got.Log)
	}
}

func TestMail(t *testing.T) {
	a := newApp()
	got := jobstest.Run(t, &a.reg, a.mail.Request(Account{Name: "Ada"}))
	if got.Job.State != jobs.Succeeded || got.Log[0].Message != "mailed" {
		t.Errorf("got %v with log %v", got.Job, got.Log)
	}
}

// Drain waits until nothing is queued or running any more.
func ExampleDrain() {
	var t *testing.T // of the test

	a := newApp()
	runner := jobstest.NewRunner(t, &a.reg, nil)
	jobstest.Enqueue(t, runner, a.bill.Request(Account{Name: "Ada"}))
	jobstest.Drain(t, runner)
	jobstest.AssertEnqueued(t, runner, a.mail, func(to Account) bool { return to.Name == "Ada" })
}

func TestBill(t *testing.T) {
	a := newApp()
	runner := jobstest.NewRunner(t, &a.reg, nil)
	jobstest.Enqueue(t, runner, a.bill.Request(Account{Name: "Ada"}))
	jobstest.Enqueue(t, runner, a.bill.Request(Account{}))
	jobstest.Drain(t, runner)
	jobstest.AssertEnqueued(t, runner, a.mail, func(to Account) bool { return to.Name == "Ada" })
	jobstest.AssertNotEnqueued(t, runner, a.mail, func(to Account) bool { return to.Name == "" })
}

// In a bubble of testing/synctest hours of retries pass in milliseconds.
func TestSixHoursOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp() // its server answers six hours from now
		runner := jobstest.NewRunner(t, &a.reg, nil)
		job := jobstest.Enqueue(t, runner, a.fetch.Request(Account{Name: "Ada"}))
		began := time.Now()
		jobstest.DrainAll(t, runner)
		job, err := runner.Get(t.Context(), job.ID)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if job.State != jobs.Succeeded || took < 6*time.Hour || took > 8*time.Hour {
			t.Errorf("%v after %v and %d attempts", job, took, job.Attempt)
		}
		if got, want := job.Errors[0].Message, "503 Service Unavailable"; got != want {
			t.Errorf("the first error is %q, want %q", got, want)
		}
	})
}
