package control

import (
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/proxy"
)

var errNoResource = NotFound("there is no resource of this name that you may connect to")

// reachable are the resources that the caller may connect to.
func (c *call) reachable() ([]Resource, error) {
	if c.portal.Resources == nil || c.means == byPeer {
		return []Resource{}, nil
	}
	list, err := c.portal.Resources.Resources(c.Context(), c.who)
	if list == nil {
		list = []Resource{}
	}
	return list, err
}

func (h *Handler) listResources(c *call) error {
	list, err := c.reachable()
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, ResourceList{list})
	return nil
}

func (h *Handler) showResource(c *call) error {
	list, err := c.reachable()
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Name == c.PathValue("name") {
			h.answer(c.w, http.StatusOK, r)
			return nil
		}
	}
	return errNoResource
}

// can says what the gateway would answer. A resource that the caller may not connect to is
// like one that is not there.
func (h *Handler) can(c *call) error {
	var q Question
	if err := c.body(&q); err != nil {
		return err
	}
	list, err := c.reachable()
	if err != nil {
		return err
	}
	known := false
	for _, r := range list {
		known = known || r.Name == q.Resource
	}
	if !known {
		return errNoResource
	}
	a, err := c.portal.Resources.Can(c.Context(), c.who, q)
	if errors.Is(err, proxy.ErrNotFound) {
		return errNoResource
	}
	if err != nil {
		// It may name what the caller is not to see.
		h.log().Warn("control: a question could not be answered", "resource", q.Resource, "user", c.who.Subject, "err", err)
		return badRequest("the gateway cannot say what it would answer; its log says why")
	}
	h.answer(c.w, http.StatusOK, a)
	return nil
}
