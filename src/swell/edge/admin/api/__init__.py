"""The JSON API: what programs in other languages, and on other machines, ask of swell and have it do."""
