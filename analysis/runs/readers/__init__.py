"""Readers of finished runs, a module for each kind of table or tracker."""
