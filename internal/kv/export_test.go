package kv

import "github.com/embedjobs/jobs"

// Encode returns the parts in which a job is stored. The body is nil if it is in the header.
func Encode(job *jobs.Job) (head, body, tail []byte, err error) {
	var h header
	h.setAsked(job, nil)
	h.setHappened(job)
	h.line, h.version = []byte(job.Line), job.Version
	tail, err = appendTail(nil, job)
	if len(tail) > 0 {
		h.flags |= flagTail
	}
	if body = appendBody(nil, job); len(body) <= maxInline {
		h.body, body = body, nil
	}
	return h.appendTo(nil), body, tail, err
}

// Decode puts a job together.
func Decode(head, body, tail []byte) (*jobs.Job, error) {
	var h header
	if err := h.decode(head); err != nil {
		return nil, err
	}
	job := new(jobs.Job)
	labels := splitLeaf(string(h.leaf))
	h.fill(job, &labels, string(h.line))
	if len(h.body) > 0 {
		body = h.body
	}
	if err := decodeBody(body, job, false); err != nil {
		return nil, err
	}
	if h.flags&flagTail == 0 {
		return job, nil
	}
	return job, decodeTail(tail, job)
}
