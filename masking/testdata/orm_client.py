# What Django's save() does with a row that it was shown masked, and psycopg's COPY.
import os

import django
import psycopg
from django.conf import settings
from django.db import models, transaction, utils

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ["PGPASSWORD"],
            "NAME": os.environ["PGDATABASE"],
            "OPTIONS": {"sslmode": "disable"},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()


class User(models.Model):
    first_name = models.TextField(null=True)
    last_name = models.TextField(null=True)
    email = models.TextField(null=True)
    password = models.TextField(null=True)
    ssn = models.BigIntegerField(null=True)
    birth_date = models.DateField(null=True)
    active = models.BooleanField(default=True)

    class Meta:
        app_label = "shop"
        db_table = "users"
        managed = False


def attempt(name, f):
    try:
        f()
        print(name + ": done")
    except utils.ProgrammingError as e:
        print(name + ": " + " ".join(str(e).split()))


u = User.objects.get(id=1)
u.last_name = "Lee"
attempt("save", u.save)
attempt("save of fields", lambda: u.save(update_fields=["active"]))
u.ssn, u.birth_date = 5, "1990-01-02"
u.first_name, u.email, u.password = "Ann", "ann@example.org", "S3cret**Word"
with transaction.atomic():
    attempt("save of real values", u.save)
attempt("create", lambda: User.objects.create(id=50, first_name="Bob", email="bob@example.org"))
shown = User.objects.get(id=50)
attempt("bulk_update", lambda: User.objects.bulk_update([shown], ["email", "active"]))
attempt("bulk_create", lambda: User.objects.bulk_create([User(id=51, email="c@example.org"), User(id=52, email=shown.email)]))
attempt("update", lambda: User.objects.filter(id=50).update(active=False))

with psycopg.connect(autocommit=True) as conn:
    for rows in [[(60, "real@example.org"), (61, shown.email)], [(62, "other@example.org")]]:
        for how in ["", " (FORMAT BINARY)"]:
            try:
                with conn.cursor() as cur:
                    with cur.copy("COPY users (id, email) FROM STDIN" + how) as copy:
                        if how:
                            copy.set_types(["int4", "text"])
                        for row in rows:
                            copy.write_row((row[0] + (10 if how else 0), row[1]))
                print("copy%s: done" % how)
            except psycopg.errors.InsufficientPrivilege as e:
                print("copy%s: %s" % (how, " ".join(str(e).split())))
    cur = conn.execute("SELECT email FROM users WHERE id = %s", (50,), binary=True)
    email = cur.fetchone()[0]
    try:
        conn.execute("UPDATE users SET email = %b WHERE id = 50", (email,))
    except psycopg.errors.InsufficientPrivilege as e:
        print("binary: " + " ".join(str(e).split()))
    print("rows:", conn.execute("SELECT count(*) FROM users WHERE id > 59").fetchone()[0])
