package job

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"millrace.dev/functions/train-launcher/order"
)

// resolve gives the image by the digest that its tag means now. Credentials are
// those of a Docker configuration ($DOCKER_CONFIG/config.json), if there is one.
func resolve(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", &order.Refused{Reason: fmt.Sprintf("train.image is %q, which names no image: %v", image, err), Hint: "write registry/name:tag"}
	}
	if digest, ok := ref.(name.Digest); ok {
		return digest.String(), nil
	}
	d, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError && answer.StatusCode != http.StatusTooManyRequests {
		return "", &order.Refused{
			Reason: fmt.Sprintf("train.image %s is not to be had of its registry: %v", image, answer),
			Hint:   "push it, or give train-launcher the registry's credentials (DOCKER_CONFIG), or name the image by its digest",
		}
	}
	if err != nil {
		return "", fmt.Errorf("look up the image %s: %w", image, err)
	}
	return ref.Context().Digest(d.Digest.String()).String(), nil
}
