package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/shared/access"
)

// tokens are the commands that edit an access file.
type tokens struct {
	*app
	dir, file string
}

func (a *app) newToken() *cobra.Command {
	t := &tokens{app: a}
	c := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke tokens with roles",
		Long: `Create, list and revoke tokens with roles, in a file that a running system reads
again when it changes. It keeps digests only: a token is printed once, by create.

Roles: predict (predictions, descriptions of models), upload (uploads, feedback,
events of other systems), read (everything in the log), operate (training,
promotion, rollback, registration, dead letters; includes read), admin (everything).

The file is access.json in --dir, where "millrace up" finds it. On a cluster it is
a key of a Secret, mounted into the functions and named by MILLRACE_ACCESS_FILE.`,
		Example: "  millrace token create app --role predict --pipeline flights\n  millrace token list\n  millrace token revoke app",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&t.dir, "dir", ".millrace", "folder of the system's data")
	c.PersistentFlags().StringVar(&t.file, "file", "", "the access file; access.json in --dir by default")
	c.AddCommand(t.newCreate(), t.newList(), t.newRevoke())
	return c
}

func (t *tokens) path() string { return cmp.Or(t.file, filepath.Join(t.dir, "access.json")) }

// read returns the content of the file; an absent one is empty.
func (t *tokens) read() (access.File, error) {
	f, err := access.ReadFile(t.path())
	if errors.Is(err, fs.ErrNotExist) {
		return access.File{}, nil
	}
	return f, err
}

func (t *tokens) newCreate() *cobra.Command {
	var roles, pipelines []string
	c := &cobra.Command{
		Use:   "create NAME --role ROLE...",
		Short: "Create a token and print it, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(roles) == 0 {
				return usage(c, "--role is missing; the roles are %s", strings.Join(access.RoleNames, ", "))
			}
			f, err := t.read()
			if err != nil {
				return err
			}
			if slices.ContainsFunc(f.Tokens, func(k access.Token) bool { return k.Name == args[0] }) {
				return fail(Failed, "there is a token %q already", args[0]).try("revoke it first: millrace token revoke %s; or choose another name", args[0])
			}
			token := access.NewToken()
			f.Tokens = append(f.Tokens, access.Token{
				Grant:  access.Grant{Name: args[0], Roles: roles, Pipelines: pipelines},
				Digest: access.Digest(token), Created: time.Now().UTC().Truncate(time.Second),
			})
			if err := f.Validate(); err != nil {
				return usage(c, "%v", err)
			}
			if err := os.MkdirAll(filepath.Dir(t.path()), 0o750); err != nil {
				return fmt.Errorf("create the folder: %w", err)
			}
			if err := access.WriteFile(t.path(), f); err != nil {
				return fmt.Errorf("write the access file: %w", err)
			}
			if t.json() {
				return json.NewEncoder(t.Out).Encode(map[string]string{"name": args[0], "token": token})
			}
			t.out.Line(token)
			t.err.Line(t.err.Styled(terminal.Faint, "this is the only time that it is shown; "+t.path()+" keeps its digest"))
			return nil
		},
	}
	c.Flags().StringSliceVar(&roles, "role", nil, "role of the token: "+strings.Join(access.RoleNames, ", ")+"; may be repeated")
	c.Flags().StringSliceVar(&pipelines, "pipeline", nil, "pipeline that the roles are for; may be repeated; all by default")
	return c
}

func (t *tokens) newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens: names, roles, pipelines",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := t.read()
			if err != nil {
				return err
			}
			if t.json() {
				return json.NewEncoder(t.Out).Encode(f)
			}
			rows := [][]terminal.Cell{}
			for _, k := range f.Tokens {
				rows = append(rows, []terminal.Cell{
					terminal.Text(k.Name), terminal.Text(strings.Join(k.Roles, ", ")),
					terminal.Text(cmp.Or(strings.Join(k.Pipelines, ", "), "all")), terminal.Text(t.out.Ago(k.Created)),
				})
			}
			if len(rows) == 0 {
				t.err.Line("no tokens in " + t.path())
				return nil
			}
			t.out.Table([]terminal.Column{terminal.Left("NAME"), terminal.Left("ROLES"), terminal.Rest("PIPELINES"), terminal.Left("CREATED")}, rows)
			return nil
		},
	}
}

func (t *tokens) newRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a token; a running system refuses it within a second",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := t.read()
			if err != nil {
				return err
			}
			before := len(f.Tokens)
			f.Tokens = slices.DeleteFunc(f.Tokens, func(k access.Token) bool { return k.Name == args[0] })
			if len(f.Tokens) == before {
				return fail(Failed, "%s has no token %q", t.path(), args[0]).try("millrace token list")
			}
			if err := access.WriteFile(t.path(), f); err != nil {
				return fmt.Errorf("write the access file: %w", err)
			}
			t.err.Line("revoked " + args[0])
			return nil
		},
	}
}
