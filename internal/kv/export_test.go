package kv

import "github.com/embedjobs/jobs"

// Encode returns the parts in which a job is stored. The body is nil if it is in the header, and the
// arguments are nil if they are in the body.
func Encode(job *jobs.Job) (head, body, args, tail []byte, err error) {
	var h header
	h.setAsked(job, nil)
	h.setHappened(job)
	h.line, h.version = []byte(job.Line), job.Version
	tail, err = appendTail(nil, job)
	if len(tail) > 0 {
		h.flags |= flagTail
	}
	all, flags := splitBody(nil, job)
	h.flags |= flags
	if flags&flagArgs != 0 {
		args = job.Args
	}
	if flags&flagBody != 0 {
		body = all
	} else {
		h.body = all
	}
	return h.appendTo(nil), body, args, tail, err
}

// Decode puts a job together.
func Decode(head, body, args, tail []byte) (*jobs.Job, error) {
	var h header
	if err := h.decode(head); err != nil {
		return nil, err
	}
	job := new(jobs.Job)
	labels := splitLeaf(string(h.leaf))
	h.fill(job, &labels, string(h.line))
	if h.flags&flagBody == 0 {
		body = h.body
	}
	if err := decodeBody(body, job); err != nil {
		return nil, err
	}
	if h.flags&flagArgs != 0 {
		if len(args) == 0 {
			return nil, errMissing
		}
		job.Args = args
	}
	if h.flags&flagTail == 0 {
		return job, nil
	}
	return job, decodeTail(tail, job)
}
