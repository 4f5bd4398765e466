"""What happens: each module applies one kind of rule to the state. Nothing here puts it into words for people."""
