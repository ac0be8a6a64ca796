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

	"millrace.dev/functions/train-launcher/runspec"
)

// resolve returns the image by the digest of its tag. Credentials are those of a
// Docker configuration ($DOCKER_CONFIG/config.json), if there is one.
func resolve(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", &runspec.Refused{Reason: fmt.Sprintf("train.image is %q, which is not the name of an image: %v", image, err), Hint: "write registry/name:tag"}
	}
	if digest, ok := ref.(name.Digest); ok {
		return digest.String(), nil
	}
	d, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode < http.StatusInternalServerError && answer.StatusCode != http.StatusTooManyRequests {
		return "", &runspec.Refused{
			Reason: fmt.Sprintf("the registry does not have train.image %s: %v", image, answer),
			Hint:   "push it, or give train-launcher the registry's credentials (DOCKER_CONFIG), or name the image by its digest",
		}
	}
	if err != nil {
		return "", fmt.Errorf("look up the image %s: %w", image, err)
	}
	return ref.Context().Digest(d.Digest.String()).String(), nil
}
